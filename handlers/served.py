"""A release at work: checked, on an engine, with the catalogues beside it. Handlers in one process can share it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from handlers.engines.choice import AUTO, choose
from handlers.engines.eager import CPU
from handlers.engines.precision import FP32
from handlers.items import ItemSide
from handlers.job import Input
from handlers.release_files import ReleaseFiles
from handlers.resident import ResidentCatalogues

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class ServedRelease:
    """The `graphs` of a release folder, loaded; `inputs` are the arrays that jobs may have, `about` what answers say of it.

    Raises `BadManifest` or `EngineFailed` when it cannot serve what the release promises.
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
    ) -> None:
        torch.set_num_threads(threads)
        release = ReleaseFiles(folder, graphs)
        loaded = choose(
            release, graphs, backend=backend, threads=threads, device=device, precision=precision, folder=engines_folder
        )
        self.graphs = loaded.graphs
        self.about = {"backend": loaded.backend, "release": release.version}
        if loaded.instead_of:
            self.about["instead_of"] = loaded.instead_of
        self.inputs = _inputs(release)
        self.category_sizes = [len(feature.vocabulary) for feature in release.manifest.schema.user if feature.kind == "category"]
        self.catalogues = ResidentCatalogues(catalogue_folder, ItemSide(release.manifest.schema, loaded.graphs).encode)
        self.catalogues.start()


def _inputs(release: ReleaseFiles) -> list[Input]:
    schema = release.manifest.schema
    kinds = [feature.kind for feature in schema.user]
    vectors = release.golden("item_encoder")[1]["vectors"]
    return [
        Input("history", np.int32, at_most=schema.history_length),
        Input("seen", np.int32),
        Input("limit", np.int32, columns=1),
        Input("user_categories", np.int32, columns=kinds.count("category")),
        Input("user_numbers", np.float32, columns=kinds.count("number")),
        Input("user_vector", np.float32, columns=vectors.shape[1]),
        Input("rows", np.int32),
    ]
