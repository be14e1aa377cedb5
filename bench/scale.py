"""`python -m bench scale`: what a hundred times as many items cost the caller, and what it takes to find them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from banquet.releases import registry
from bench import report, workspace
from bench.scale_index import crossover
from bench.scale_side import CANDIDATES, Side

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

SETTLED_S = 5.0


def add_arguments(parser: ArgumentParser) -> None:
    workspace.add_arguments(parser)
    parser.add_argument("--items", type=int, default=1_000_000, help="items of the large catalogue")
    parser.add_argument("--few", type=int, default=10_000, help="items of the small one")
    parser.add_argument("--rounds", type=int, default=7, help="turns of one and the other")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a turn")
    parser.add_argument("--only-index", action="store_true", help="measure the index alone, without serving")


def run(arguments: Namespace) -> None:
    settings = workspace.with_release(arguments)
    release = registry.resolve(settings.releases, settings.release or None)
    workload = {name: getattr(arguments, name) for name in ("items", "few", "rounds", "seconds", "limit")}
    found = {
        **report.circumstances(workload | {"release": release.name, "candidates": CANDIDATES, "concurrency": 1}),
        "index": crossover(release, arguments.items),
    }
    report.write(found, arguments.json)
    if arguments.only_index:
        return
    with TemporaryDirectory(prefix="bench-scale-") as name:
        backend = settings.torchserve.backend
        few, many = (Side(Path(name) / str(items), release, backend, items) for items in (arguments.few, arguments.items))
        asyncio.run(_serve(few, many, arguments))
    found |= {
        "p50_ratio": many.p50_ms / few.p50_ms,
        "p50_ratio_by_round": [large / small for large, small in zip(many.p50s_ms, few.p50s_ms, strict=True)],
        "few": few.described(),
        "many": many.described(),
    }
    report.write(found, arguments.json)
    print(f"{arguments.items:,} items against {arguments.few:,}: p50 {found['p50_ratio']:.2f} times (bar: 2)")
    for side in (few, many):
        print(f"  {side.items:>9,} items: p50 {side.p50_ms:.2f} ms, recall@{CANDIDATES} {side.recall:.4f}, {side.index} index")


async def _serve(few: Side, many: Side, arguments: Namespace) -> None:
    """Both are up all the time, and are asked in turns by one caller."""
    async with AsyncExitStack() as running:
        for side in (few, many):
            await running.enter_async_context(side.serving())
        await asyncio.sleep(SETTLED_S)
        for side in (few, many):
            await side.turn(arguments.seconds, arguments.limit, counted=False)
        for number in range(arguments.rounds):
            for side in (few, many) if number % 2 else (many, few):
                await side.turn(arguments.seconds, arguments.limit)
        for side in (few, many):
            await side.measure_recall()
