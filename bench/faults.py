"""`python -m bench faults`: what callers get while parts of Banquet die, hang or misbehave, one after the other, under load."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from banquet.inference.places import socket_folder
from bench import faults_report, report, stacks, workspace
from bench.between import Between
from bench.load import Target
from bench.measure import METHOD
from bench.strikes import Run
from bench.victims import Family

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from banquet.app.settings import Settings

# Until then everything must be over but the end of `banquet up`; with that a run stays within 8 minutes.
LIMIT_S = 420.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    workspace.add_arguments(parser)
    parser.add_argument("--rps", type=_positive, default=100.0, help="calls per second, on average")
    parser.add_argument("--timeout-ms", type=_positive, default=200.0, help="deadline of each call")


def run(arguments: argparse.Namespace) -> None:
    """Once data and release are there, it takes 8 minutes at most."""
    settings = workspace.prepare(arguments)
    until_s = time.perf_counter() + LIMIT_S
    requests = workspace.draw_requests(settings, arguments.users, arguments.limit)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("starting")
        with _served(settings, arguments.settings) as (address, family):
            one = Run(address, family, until_s, lambda what: progress.update(task, description=what))
            asyncio.run(_under_load(one, requests, arguments))
            progress.update(task, description="ending")
    workload = {
        **workspace.facts(settings),
        **{name: getattr(arguments, name) for name in ("limit", "rps", "timeout_ms", "connections")},
        "users_asked_for": len(requests),
    }
    body = faults_report.result(workload, one.timeline, one.strikes, len(family.outlived))
    report.write(body, arguments.json)
    faults_report.show(body)


@contextmanager
def _served(settings: Settings, settings_file: Path | None) -> Iterator[tuple[str, Family]]:
    """A `banquet up`, its address and its processes; none of them is there afterwards."""
    family: Family | None = None
    sockets = socket_folder(settings.torchserve_folder.absolute() / "sockets")
    try:
        with Between(sockets / "inference").running() as between, stacks.banquet_up(settings, settings_file) as served:
            family = Family(psutil.Process(served.pid), between)
            try:
                yield served.address, family
            finally:
                family.look()
    finally:
        if family is not None:
            family.end()


async def _under_load(one: Run, requests: Sequence[bytes], arguments: argparse.Namespace) -> None:
    timeout_s = arguments.timeout_ms / 1e3
    async with Target(one.address, METHOD, requests, connections=arguments.connections, timeout_s=timeout_s) as target:
        await one.go(target, arguments.rps)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: must be above 0")
    return number
