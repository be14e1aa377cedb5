"""`banquet up`: TorchServe, catalogue builder, event consumer and gateways, which start and end together."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import time
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING

import grpc

from banquet.app.privacy import pseudonyms_in_force
from banquet.app.processes import Child
from banquet.app.rotation import keep_rotating
from banquet.app.settings import HostSettings
from banquet.app.wiring import checked_release, deployer, supervised
from banquet.core.errors import BadSettings
from banquet.core.loopback import DIRECT
from banquet.releases.fitness import build_hint
from banquet.v1 import operations_pb2, operations_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from banquet.app.deployer import Deployer
    from banquet.app.settings import Settings
    from banquet.inference.supervisor import TorchServe

log = logging.getLogger(__name__)

CHILD_PATIENCE_S = 5.0
# What takes longer than this to start is said to be missing.
USUAL_START_S = 15.0
PORT_REMEDY = "choose another one with --port or BANQUET_PORT, or 0 for a free one"
METRICS_REMEDY = "choose another one for the metrics with --metrics-port or BANQUET_METRICS_PORT, or 0 for none"


async def run(settings: Settings, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` gets the gateway's address once it is ready."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings.logs.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        port = stack.enter_context(_held_port(settings.host, settings.port))
        release = checked_release(settings)
        settings = settings.model_copy(update={"port": port})
        if settings.metrics_port:
            for index in range(settings.gateways):
                with _held_port("127.0.0.1", settings.metrics_port + index, METRICS_REMEDY):
                    pass
        servers: list[TorchServe] = []
        if settings.models == "torchserve" and not settings.torchserve.reached:
            servers = [supervised(settings, release, number) for number in range(settings.torchserve.servers)]
            settings = await _with_torchserve(settings, servers, stack)
        told = _write_settings(settings)
        if settings.rolls_out:
            if hint := build_hint(settings.releases, settings.model_store):
                log.warning(hint)
            await _deploying(deployer(settings, servers), release, stack)
        # Makes the key before several processes want it.
        pseudonyms_in_force(settings)
        for child in _children(settings, told):
            patience_s = settings.drain_s + CHILD_PATIENCE_S if child.name.startswith("gateway") else CHILD_PATIENCE_S
            await child.start()
            stack.push_async_callback(child.stop, patience_s)
        address = settings.address
        rotation = asyncio.create_task(keep_rotating(_logs(settings), settings.log_max_mb * 2**20, settings.log_files))
        watch = asyncio.create_task(_tell_when_ready(address, on_ready))
        await stop.wait()
        watch.cancel()
        rotation.cancel()
        log.info("stopping")


async def _deploying(deployer: Deployer, release: str, stack: AsyncExitStack) -> None:
    """The gateways learn of the stable release before they start; then the deployer works as long as the stack is open."""
    deployer.begin(release)
    task = asyncio.create_task(deployer.run(), name="deployer")

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await deployer.close()

    stack.push_async_callback(end)


async def _with_torchserve(settings: Settings, servers: list[TorchServe], stack: AsyncExitStack) -> Settings:
    """The settings with the addresses of our own TorchServes, which run as long as the stack is open."""
    hosts = []
    for torchserve in servers:
        await torchserve.start()
        stack.push_async_callback(torchserve.stop)
        at = torchserve.address
        hosts.append(HostSettings(address=at.inference, management=at.management, key_file=at.key_file))
    told = hosts[0].model_dump() if len(hosts) == 1 else {"hosts": tuple(hosts)}
    return settings.model_copy(update={"torchserve": settings.torchserve.model_copy(update=told)})


@contextmanager
def _held_port(host: str, port: int, remedy: str = PORT_REMEDY) -> Iterator[int]:
    """Reserve the port that the gateways will share; a taken one is refused here, before anything starts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe, socket.socket(family, socket.SOCK_STREAM) as held:
        try:
            # Without SO_REUSEPORT, so that another server on this port is found out.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            taken = probe.getsockname()[1]
        except OSError as error:
            raise BadSettings(f"port {port} on {host}: {error.strerror}; {remedy}") from error
        probe.close()
        # For connections that a server of a minute ago has closed.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((host, taken))
        yield taken


def _children(settings: Settings, told: Path) -> list[Child]:
    """In the order they start; they end in the opposite order, so that gateways drain while the rest still works."""
    logs = settings.logs
    return [
        Child("builder", ["banquet.app.builder", str(told)], logs / "builder.log"),
        Child("consumer", ["banquet.app.consumer", str(told)], logs / "consumer.log"),
        *(
            Child(f"gateway-{k}", ["banquet.app.gateway", str(told), str(k), str(os.getpid())], logs / f"gateway-{k}.log")
            for k in range(settings.gateways)
        ),
    ]


def _logs(settings: Settings) -> list[Path]:
    children = ("builder", "consumer", *(f"gateway-{index}" for index in range(settings.gateways)))
    consoles = [folder / "console.log" for folder in settings.torchserve_folders]
    return [*consoles, *(settings.logs / f"{name}.log" for name in children)]


def _write_settings(settings: Settings) -> Path:
    """The settings in force, for the children and for whoever wants to know."""
    path = settings.run_folder / f"settings-{settings.port}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings.model_dump(mode="json"), indent=2))
    return path


async def _tell_when_ready(address: str, on_ready: Callable[[str], None]) -> None:
    """Meanwhile the log says what is still missing, once it takes long and whenever that changes."""
    began_s, told = time.monotonic(), ""
    # The gateway is of this machine whatever its address: one in the local network must not be asked through a proxy either.
    async with grpc.aio.insecure_channel(address, options=DIRECT) as channel:
        stub = operations_pb2_grpc.OperationsServiceStub(channel)
        while True:
            try:
                status = await stub.GetStatus(operations_pb2.GetStatusRequest(), timeout=1.0)
            except grpc.aio.AioRpcError as error:
                log.debug("not up yet: %s", error.details())
            else:
                if status.ready:
                    return on_ready(address)
                missing = "; ".join(f"{part.part}: {part.detail}" for part in status.parts if not part.ready)
                if missing != told and time.monotonic() > began_s + USUAL_START_S:
                    log.warning("not ready yet: %s", missing)
                    told = missing
            await asyncio.sleep(0.1)
