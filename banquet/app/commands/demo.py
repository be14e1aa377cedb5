"""`banquet demo`: everything, once."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Literal

import typer


def demo(
    data: Annotated[
        Path | None, typer.Option(help="Data to use: whatever `banquet data import` takes; synthetic by default.")
    ] = None,
    preset: Annotated[Literal["quick", "full"], typer.Option(help="How long to train.")] = "quick",
    seed: Annotated[int, typer.Option(min=0, help="Seed of data and training.")] = 7,
    settings: Annotated[Path | None, typer.Option(help="YAML file of settings; see docs/settings.md.")] = None,
) -> None:
    """Make data, train, pack, materialize, serve and print recommendations; what is done already is not done again."""
    import pyarrow.parquet as pq

    from banquet.app.demo import SHOWN_USERS, make, served, tour
    from banquet.app.settings import read_settings
    from banquet.app.tables import show
    from banquet.releases import registry
    from banquet.releases.manifest import load
    from banquet.training.report import metrics_tables

    chosen = read_settings(settings)
    typer.echo("Making what is missing:")
    make(chosen, data, preset, seed)
    show(*metrics_tables(load(registry.resolve(chosen.releases)).metrics))
    users = pq.read_table(chosen.workspace / "data" / "users.parquet", columns=["user_id"])["user_id"][:SHOWN_USERS].to_pylist()
    typer.echo("Starting Banquet ...")
    with served(chosen, settings, _free_port()) as client:
        tour(client, users, chosen.logs)
    typer.echo("Serve it yourself: make up, then banquet recommend --user " + users[0])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
