"""What every handler shares: a release at work, settings from the environment, and one answer per job."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from banquet.wire.bits import words_of
from banquet.wire.manifest_file import BadManifest
from handlers.engines.choice import AUTO
from handlers.engines.precision import FP32, PRECISIONS
from handlers.job import MAX_CELLS, JobRefused, check_rows, decode, encode, encode_refusal
from handlers.own_code import check_own_code
from handlers.served import ServedRelease

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from handlers.items import ResidentItems
    from handlers.job import Job

log = logging.getLogger(__name__)

RELEASE_FOLDER = "release"
ARCHIVE_MANIFEST = "MAR-INF/MANIFEST.json"
CATALOGUE_DIR = "BANQUET_CATALOGUE_DIR"
BACKEND = "BANQUET_BACKEND"
THREADS = "BANQUET_THREADS"
PRECISION = "BANQUET_PRECISION"
ENGINES_DIR = "BANQUET_ENGINES_DIR"
# While the file that it names is there, others serve.
GENTLY = "BANQUET_GENTLY"
# The exit code of a worker whose GPU has given up.
EXIT_DEVICE_LOST = 70


class BadWorkerSettings(ValueError):
    """The worker's environment does not hold together; the text names the variable."""


class Context(Protocol):
    """The part of TorchServe's context that a handler uses."""

    @property
    def system_properties(self) -> Mapping[str, Any]: ...


class Worker:
    """One model at work on a release: `inputs` are the arrays of its jobs; `alone` when the process is there for nothing else."""

    def __init__(self, served: ServedRelease, inputs: Sequence[str], *, alone: bool = False) -> None:
        self.graphs = served.graphs
        self.catalogues = served.catalogues
        self.indexes = served.indexes
        self._about = served.about
        self._inputs = [known for known in served.inputs if known.name in inputs]
        self._category_sizes = served.category_sizes
        self._alone = alone

    @classmethod
    def of_archive(cls, context: Context, *, graphs: Sequence[str], inputs: Sequence[str]) -> Worker:
        """A TorchServe worker: `graphs` are the parts of the archive's release that it runs.

        Settings come from the environment: BANQUET_CATALOGUE_DIR, BANQUET_BACKEND (default auto), BANQUET_THREADS (default 1),
        BANQUET_PRECISION (of a GPU's engines, default fp32), BANQUET_ENGINES_DIR (where they keep what they build),
        BANQUET_GENTLY (a file that is there while others serve). Raises `BadWorkerSettings`, and what `ServedRelease` raises.
        """
        folder = os.environ.get(CATALOGUE_DIR)
        if not folder:
            raise BadWorkerSettings(f"{CATALOGUE_DIR} is not set; it names the folder that holds the catalogue files")
        threads = _threads()
        archive = Path(context.system_properties["model_dir"])
        check_own_code(archive)
        engines_folder = os.environ.get(ENGINES_DIR)
        try:
            served = ServedRelease(
                archive / RELEASE_FOLDER,
                graphs,
                Path(folder),
                backend=os.environ.get(BACKEND, AUTO),
                threads=threads,
                device=_device(context.system_properties.get("gpu_id")),
                precision=_precision(),
                engines_folder=Path(engines_folder) if engines_folder else None,
                gently=Path(os.environ.get(GENTLY, "")).is_file(),
            )
        except BadManifest as error:
            # TorchServe removes the folder that it unpacked the archive into: whoever reads the log finds nothing there.
            raise BadManifest(str(error).replace(f"{archive}/", f"{_archive_name(archive)}: ")) from error
        # TorchServe's worker writes two lines per job at INFO, which its frontend parses: a third of a small job's cost.
        logging.getLogger().setLevel(logging.WARNING)
        return cls(served, inputs, alone=True)

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
        except torch.AcceleratorError:
            if not self._alone:
                raise
            # No kernel runs in this process any more; TorchServe would keep it, but starts another for one that ended.
            log.critical("the GPU has failed; this worker ends", exc_info=True)
            os._exit(EXIT_DEVICE_LOST)
        model_ms = (time.perf_counter() - began_s) * 1e3
        about = {"catalogue": items.version, "index": self.indexes.of(items).name, "model_ms": f"{model_ms:.3f}"}
        return encode(arrays, self._about | about)

    def _check_values(self, job: Job, items: ResidentItems) -> None:
        for name in ("history", "seen", "rows"):
            if name in job.arrays:
                check_rows(name, job[name], len(items))
        allowed = job.arrays.get("allowed")
        if allowed is not None and allowed.shape[1] != words_of(len(items)):
            raise JobRefused(
                "model_error",
                f"array 'allowed' has {allowed.shape[1]} words per query; the catalogue's {len(items)} items take"
                f" {words_of(len(items))}",
            )
        limit = job.arrays.get("limit")
        if limit is not None and min(int(limit.max()), len(items)) * len(limit) > MAX_CELLS:
            raise JobRefused(
                "model_error", f"array 'limit' asks for {limit.max()} items for {len(limit)} queries; in all {MAX_CELLS} go"
            )
        codes = job.arrays.get("user_categories")
        if codes is not None and not ((codes >= 0) & (codes <= self._category_sizes)).all():
            raise JobRefused("model_error", f"array 'user_categories' holds codes outside 0 to {self._category_sizes}")


def _archive_name(unpacked: Path) -> str:
    """As the model store has it, by what the archive says of itself; the folder where nothing says so."""
    try:
        model = json.loads((unpacked / ARCHIVE_MANIFEST).read_bytes())["model"]
        return f"{model['modelName']}-{model['modelVersion']}.mar"
    except (OSError, ValueError, KeyError, TypeError):
        return str(unpacked)


def _threads() -> int:
    text = os.environ.get(THREADS, "1")
    if not text.isdecimal() or int(text) < 1:
        raise BadWorkerSettings(f"{THREADS}={text!r} is not a number of threads; want 1 or more")
    return int(text)


def _precision() -> str:
    text = os.environ.get(PRECISION, FP32)
    if text not in PRECISIONS:
        raise BadWorkerSettings(f"{PRECISION}={text!r} is not one of: {', '.join(PRECISIONS)}")
    return text


def _device(gpu: object) -> torch.device:
    """The GPU that TorchServe gave this worker, or the first; the CPU where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(str(gpu)) if gpu is not None else 0)
    # TensorRT loads plans to the device that is current.
    torch.cuda.set_device(device)
    return device
