"""What every handler shares: a checked release on an engine, the catalogues beside it, and one answer per job."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from handlers.engines.choice import AUTO, choose
from handlers.items import ItemSide
from handlers.job import MAX_CELLS, Input, JobRefused, check_rows, decode, encode, encode_refusal
from handlers.own_code import check_own_code
from handlers.release_files import ReleaseFiles
from handlers.resident import ResidentCatalogues

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from handlers.items import ResidentItems
    from handlers.job import Job

RELEASE_FOLDER = "release"
CATALOGUE_DIR = "BANQUET_CATALOGUE_DIR"
BACKEND = "BANQUET_BACKEND"
THREADS = "BANQUET_THREADS"


class BadWorkerSettings(ValueError):
    """The worker's environment does not hold together; the text names the variable."""


class Context(Protocol):
    """The part of TorchServe's context that a handler uses."""

    @property
    def system_properties(self) -> Mapping[str, Any]: ...


class Worker:
    """One archive at work: `graphs` are the parts of the release it runs, `inputs` the arrays of its jobs.

    Settings come from the environment: BANQUET_CATALOGUE_DIR, BANQUET_BACKEND (default auto), BANQUET_THREADS (default 1). Raises
    `BadWorkerSettings`, `BadManifest` or `EngineFailed` when it cannot serve what the release promises.
    """

    def __init__(self, context: Context, *, graphs: Sequence[str], inputs: Sequence[str]) -> None:
        folder = os.environ.get(CATALOGUE_DIR)
        if not folder:
            raise BadWorkerSettings(f"{CATALOGUE_DIR} is not set; it names the folder that holds the catalogue files")
        threads = _threads()
        torch.set_num_threads(threads)
        archive = Path(context.system_properties["model_dir"])
        check_own_code(archive)
        release = ReleaseFiles(archive / RELEASE_FOLDER, graphs)
        loaded = choose(release, graphs, backend=os.environ.get(BACKEND, AUTO), threads=threads)
        self.graphs = loaded.graphs
        self._about = {"backend": loaded.backend, "release": release.version}
        self._inputs = [known for known in _inputs(release) if known.name in inputs]
        self._category_sizes = [len(feature.vocabulary) for feature in release.manifest.schema.user if feature.kind == "category"]
        self.catalogues = ResidentCatalogues(Path(folder), ItemSide(release.manifest.schema, loaded.graphs).encode)
        self.catalogues.start()
        # TorchServe's worker writes two lines per job at INFO, which its frontend parses: a third of a small job's cost.
        logging.getLogger().setLevel(logging.WARNING)

    def answer(self, request: Mapping[str, object], predict: Callable[[Job, ResidentItems], Mapping[str, NDArray[Any]]]) -> bytes:
        """One job's answer; what is wrong with a job becomes the answer's `error` and `detail`."""
        began_s = time.perf_counter()
        try:
            job = decode(request, self._inputs)
            items = self.catalogues.get(job.catalogue)
            self._check_values(job, items)
            with torch.inference_mode():
                arrays = predict(job, items)
        except JobRefused as refused:
            return encode_refusal(refused)
        model_ms = (time.perf_counter() - began_s) * 1e3
        return encode(arrays, {**self._about, "catalogue": items.version, "model_ms": f"{model_ms:.3f}"})

    def _check_values(self, job: Job, items: ResidentItems) -> None:
        for name in ("history", "seen", "rows"):
            if name in job.arrays:
                check_rows(name, job[name], len(items))
        limit = job.arrays.get("limit")
        if limit is not None and min(int(limit.max()), len(items)) * len(limit) > MAX_CELLS:
            raise JobRefused(
                "model_error", f"array 'limit' asks for {limit.max()} items for {len(limit)} queries; in all {MAX_CELLS} go"
            )
        codes = job.arrays.get("user_categories")
        if codes is not None and not ((codes >= 0) & (codes <= self._category_sizes)).all():
            raise JobRefused("model_error", f"array 'user_categories' holds codes outside 0 to {self._category_sizes}")


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


def _threads() -> int:
    text = os.environ.get(THREADS, "1")
    if not text.isdecimal() or int(text) < 1:
        raise BadWorkerSettings(f"{THREADS}={text!r} is not a number of threads; want 1 or more")
    return int(text)
