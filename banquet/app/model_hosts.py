"""Where the models of a release run: one TorchServe, several, or the gateway itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banquet.inference.balanced import Balanced
from banquet.inference.client import TorchServeClient
from banquet.inference.transport import TorchServeAddress

if TYPE_CHECKING:
    from pathlib import Path

    from banquet.app.settings import HostSettings, Settings
    from banquet.inference.host import ModelHost


def open_model_host(settings: Settings, release: Path) -> ModelHost:
    """What runs the models of a release folder and of no other; in process, they load in the background."""
    told = settings.torchserve
    if settings.models == "inprocess":
        # Torch and ONNX Runtime: 200 MB and seconds that a gateway in front of TorchServe does without.
        from banquet.inference.inprocess import InProcess  # noqa: PLC0415

        return InProcess(release, settings.catalogue, backend=told.backend, threads=told.threads, workers=told.workers)
    hosts = {host.address: TorchServeClient(torchserve_address(host), told.workers, release.name) for host in told.reached}
    return Balanced(hosts) if len(hosts) > 1 else next(iter(hosts.values()))


def torchserve_address(host: HostSettings) -> TorchServeAddress:
    return TorchServeAddress(host.address, host.management, host.key_file)
