"""What every handler shares: a release at work, settings from the environment, and one answer per job."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from handlers.engines.choice import AUTO
from handlers.job import MAX_CELLS, JobRefused, check_rows, decode, encode, encode_refusal
from handlers.own_code import check_own_code
from handlers.served import ServedRelease

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
    """One model at work on a release: `inputs` are the arrays of its jobs."""

    def __init__(self, served: ServedRelease, inputs: Sequence[str]) -> None:
        self.graphs = served.graphs
        self.catalogues = served.catalogues
        self._about = served.about
        self._inputs = [known for known in served.inputs if known.name in inputs]
        self._category_sizes = served.category_sizes

    @classmethod
    def of_archive(cls, context: Context, *, graphs: Sequence[str], inputs: Sequence[str]) -> Worker:
        """A TorchServe worker: `graphs` are the parts of the archive's release that it runs.

        Settings come from the environment: BANQUET_CATALOGUE_DIR, BANQUET_BACKEND (default auto), BANQUET_THREADS (default 1).
        Raises `BadWorkerSettings`, and what `ServedRelease` raises.
        """
        folder = os.environ.get(CATALOGUE_DIR)
        if not folder:
            raise BadWorkerSettings(f"{CATALOGUE_DIR} is not set; it names the folder that holds the catalogue files")
        threads = _threads()
        archive = Path(context.system_properties["model_dir"])
        check_own_code(archive)
        backend = os.environ.get(BACKEND, AUTO)
        served = ServedRelease(archive / RELEASE_FOLDER, graphs, Path(folder), backend=backend, threads=threads)
        # TorchServe's worker writes two lines per job at INFO, which its frontend parses: a third of a small job's cost.
        logging.getLogger().setLevel(logging.WARNING)
        return cls(served, inputs)

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


def _threads() -> int:
    text = os.environ.get(THREADS, "1")
    if not text.isdecimal() or int(text) < 1:
        raise BadWorkerSettings(f"{THREADS}={text!r} is not a number of threads; want 1 or more")
    return int(text)
