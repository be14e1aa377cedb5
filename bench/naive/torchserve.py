"""TorchServe with the two naive models, as a child process: the same version, Java and settings as Banquet's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from banquet.inference.configuration import Installation, TorchServeSettings, install
from banquet.inference.supervisor import LEASH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from banquet.inference.transport import TorchServeAddress

MODELS = ("naive_retrieval", "naive_ranking")
ARCHIVES = Path(__file__).parent / "archives"
START_S = 60.0
STOP_S = 15.0


@contextmanager
def running(folder: Path, release: Path, *, backend: str, workers: int, threads: int) -> Iterator[TorchServeAddress]:
    """Starts TorchServe with everything it writes in `folder`; gives its gRPC address. Its models may still be loading.

    `backend` is `auto`, `onnxruntime` or `eager`, as Banquet's workers are told. Raises `TimeoutError`.
    """
    store = folder / "model_store"
    store.mkdir(parents=True)
    for model in MODELS:
        _archive(store, model)
    settings = {"NAIVE_RELEASE": str(release.resolve()), "NAIVE_BACKEND": backend, "NAIVE_THREADS": str(threads)}
    installed = install(
        TorchServeSettings(
            run_folder=folder / "run",
            model_store=store,
            archives={model: f"{model}.mar" for model in MODELS},
            worker_environment=settings,
            workers=workers,
            threads=threads,
        )
    )
    with _child(installed):
        yield installed.grpc_address


@contextmanager
def _child(installed: Installation) -> Iterator[None]:
    with (installed.folder / "console.log").open("wb") as console:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), *installed.command],
            stdout=console,
            stderr=console,
            cwd=installed.folder,
            env=dict(installed.environment),
            start_new_session=True,
        )
    try:
        _await_keys(installed, child)
        yield
    finally:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(STOP_S)
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # workers that outlived it
        child.wait()


def _await_keys(installed: Installation, child: subprocess.Popen[bytes]) -> None:
    """TorchServe writes its keys just before it listens."""
    keys, give_up_s = installed.grpc_address.key_file, time.monotonic() + START_S
    while keys is not None and not (keys.is_file() and keys.stat().st_size):
        if child.poll() is not None or time.monotonic() > give_up_s:
            said = (installed.folder / "console.log").read_text(errors="replace")[-2000:]
            raise TimeoutError(f"TorchServe did not start within {START_S:.0f} s, or ended: {said}")
        time.sleep(0.1)


def _archive(store: Path, model: str) -> None:
    tool = Path(sys.executable).parent / "torch-model-archiver"
    described = ["--model-name", model, "--version", "1.0", "--handler", str(ARCHIVES / f"{model}.py")]
    subprocess.run([str(tool), *described, "--export-path", str(store)], check=True, capture_output=True)
