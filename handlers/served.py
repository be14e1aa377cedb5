"""A release at work: checked, on an engine, with the catalogues beside it. Handlers in one process can share it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from banquet.wire.nice import idly
from handlers.engines.choice import AUTO, choose
from handlers.engines.eager import CPU
from handlers.engines.precision import FP32
from handlers.index.keeper import IndexKeeper
from handlers.index.plan import read_plan
from handlers.items import ItemSide
from handlers.job import Input
from handlers.release_files import ReleaseFiles
from handlers.resident import ResidentCatalogues

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from banquet.wire.catalogue_file import CatalogueFile
    from handlers.engines.choice import Loaded
    from handlers.items import ResidentItems


class ServedRelease:
    """The `graphs` of a release folder, loaded; `inputs` are the arrays that jobs may have, `about` what answers say of it.

    `gently`: loading leaves the cores to others where it can. Raises `BadManifest` or `EngineFailed` when it cannot serve what
    the release promises.
    """

    def __init__(
        self,
        folder: Path,
        graphs: Sequence[str],
        catalogue_folder: Path,
        *,
        backend: str = AUTO,
        threads: int = 1,
        device: torch.device = CPU,
        precision: str = FP32,
        engines_folder: Path | None = None,
        gently: bool = False,
    ) -> None:
        torch.set_num_threads(threads)
        release = ReleaseFiles(folder, graphs)

        def load() -> Loaded:
            return choose(
                release, graphs, backend=backend, threads=threads, device=device, precision=precision, folder=engines_folder
            )

        # Threads of an engine would stand back for ever; on one thread of a processor it has none.
        loaded = idly(load) if gently and threads == 1 and device == CPU else load()
        self.graphs = loaded.graphs
        self.about = {"backend": loaded.backend, "release": release.version}
        if loaded.instead_of:
            self.about["instead_of"] = loaded.instead_of
        self.inputs = _inputs(release)
        self.category_sizes = [len(feature.vocabulary) for feature in release.manifest.schema.user if feature.kind == "category"]
        self.indexes = IndexKeeper(read_plan(folder), threads)
        self._items = ItemSide(release.manifest.schema, loaded.graphs)
        self.catalogues = ResidentCatalogues(catalogue_folder, self._resident)
        self.catalogues.start()

    def _resident(self, catalogue: CatalogueFile, before: ResidentItems | None) -> ResidentItems:
        items = self._items.encode(catalogue, before)
        self.indexes.follow(items)
        return items


def _inputs(release: ReleaseFiles) -> list[Input]:
    schema = release.manifest.schema
    kinds = [feature.kind for feature in schema.user]
    return [
        Input("history", np.int32, at_most=schema.history_length),
        Input("seen", np.int32),
        Input("allowed", np.int32, optional=True),
        Input("limit", np.int32, columns=1),
        Input("user_categories", np.int32, columns=kinds.count("category")),
        Input("user_numbers", np.float32, columns=kinds.count("number")),
        Input("user_vector", np.float32, columns=release.user_vector_size, optional=True),
        Input("rows", np.int32),
    ]
