"""`banquet up`: serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def up(
    settings: Annotated[Path | None, typer.Option(help="YAML file of settings; see docs/settings.md.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; loopback by default.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the gateway; 0 takes a free one.")] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Loopback port of the metrics; 0 turns them off.")] = None,
    gateways: Annotated[int | None, typer.Option(help="Gateway processes that share the port.")] = None,
    release: Annotated[str | None, typer.Option(help="Serve this release and no other.")] = None,
    torchserve: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="gRPC port of a TorchServe that runs already.")
    ] = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C: TorchServe, the catalogue builder, the event consumer and the gateways.

    Flags win over the environment (BANQUET_PORT, BANQUET_TORCHSERVE__WORKERS, ...), which wins over the settings file.
    """
    import asyncio

    from banquet.app.logs import log_to_stderr
    from banquet.app.privacy import pseudonyms_in_force
    from banquet.app.settings import read_settings
    from banquet.app.up import run

    chosen = read_settings(
        settings,
        host=host,
        port=port,
        metrics_port=metrics_port,
        gateways=gateways,
        release=release,
        torchserve=None if torchserve is None else {"address": torchserve},
    )
    log_to_stderr(chosen.log_level, pseudonyms_in_force(chosen))
    asyncio.run(run(chosen, lambda address: typer.echo(f"Banquet is ready on {address}")))
