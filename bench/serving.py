"""`python -m bench serving`: Banquet and the naive stack on the same data, models and machine, in turns, in one run."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from banquet.app.demo import make
from banquet.app.settings import Settings, read_settings
from banquet.releases import registry
from banquet.training.datasets.dataset import Dataset
from bench import report, stacks
from bench.answers import agreement, requests_for
from bench.measure import Measured, Plan

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from bench.stacks import Stack

PLACEMENT = "home"
SEED = 7


@dataclass(frozen=True, slots=True)
class Workload:
    """What both stacks are asked, and how."""

    limit: int
    candidates: int
    users: int
    concurrency: tuple[int, ...]
    seconds: float
    warm_up_s: float
    rounds: int
    connections: int

    @classmethod
    def of(cls, arguments: Namespace) -> Workload:
        levels = tuple(sorted({1, *(int(level) for level in arguments.concurrency.split(","))}))
        return cls(
            limit=arguments.limit,
            candidates=arguments.candidates,
            users=arguments.users,
            concurrency=levels,
            seconds=arguments.seconds,
            warm_up_s=arguments.warm_up,
            rounds=arguments.rounds,
            connections=arguments.connections,
        )


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, help="data to use: whatever `banquet data import` takes; synthetic by default")
    parser.add_argument("--json", type=Path, required=True, help="file for the result")
    parser.add_argument("--settings", type=Path, help="YAML file of Banquet's settings")
    parser.add_argument("--preset", choices=["quick", "full"], default="quick", help="how long to train, if there is no release")
    parser.add_argument("--limit", type=int, default=20, help="items per answer")
    parser.add_argument("--candidates", type=int, default=500, help="items ranked by naive; Banquet's are in its placements file")
    parser.add_argument("--users", type=int, default=500, help="different users, drawn by seed, asked for in turn")
    parser.add_argument("--concurrency", default="1,8,32", help="closed-loop callers, one phase each; 1 is always there")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each phase")
    parser.add_argument("--warm-up", type=float, default=5.0, help="seconds of load before measuring")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each stack")
    parser.add_argument("--connections", type=int, default=8, help="connections of the concurrent phases")


def run(arguments: Namespace) -> None:
    settings = read_settings(arguments.settings)
    make(settings, arguments.data, arguments.preset, SEED)
    workload = Workload.of(arguments)
    dataset = Dataset.load(settings.workspace / "data")
    release = registry.resolve(settings.releases, settings.release or None)
    banquet, naive = Measured("banquet"), Measured("naive")
    sides: list[tuple[Measured, Stack]] = [
        (banquet, lambda: stacks.banquet(settings, arguments.settings)),
        (naive, lambda: stacks.naive(settings, release, workload.candidates)),
    ]
    planned = plan(settings, workload)
    _take_turns(sides, planned, workload.rounds)
    body = report.result(
        workload={**describe(settings, workload), "users_asked_for": len(planned.requests), **facts(dataset)},
        banquet=banquet.summary(),
        naive=naive.summary(),
        agreement=agreement(banquet.tops, naive.tops),
    )
    report.write(body, arguments.json)
    report.show(body)


def plan(settings: Settings, workload: Workload) -> Plan:
    """Asks for users drawn by seed from the dataset."""
    known = pq.read_table(settings.workspace / "data" / "users.parquet", columns=["user_id"])["user_id"].to_pylist()
    users = random.Random(SEED).sample(known, min(workload.users, len(known)))
    requests = requests_for(users, placement=PLACEMENT, limit=workload.limit)
    return Plan(requests, workload.concurrency, workload.seconds, workload.warm_up_s, workload.connections)


def facts(dataset: Dataset) -> dict[str, Any]:
    return {
        "dataset": dataset.name,
        "dataset_users": dataset.users.num_rows,
        "dataset_items": dataset.items.num_rows,
        "dataset_interactions": dataset.interactions.num_rows,
    }


def describe(settings: Settings, workload: Workload) -> dict[str, Any]:
    return {
        "placement": PLACEMENT,
        "limit": workload.limit,
        "candidates": workload.candidates,
        "concurrency": list(workload.concurrency),
        "seconds": workload.seconds,
        "rounds": workload.rounds,
        "connections": workload.connections,
        "server_processes": settings.gateways,
        "model_workers": settings.torchserve.workers,
        "model_threads": settings.torchserve.threads,
        "backend": settings.torchserve.backend,
    }


def _take_turns(sides: list[tuple[Measured, Stack]], plan: Plan, rounds: int) -> None:
    """Each stack has the machine to itself while it is measured; who goes first changes from round to round."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("")
        for number in range(rounds):
            for measured, stack in sides if number % 2 == 0 else reversed(sides):
                progress.update(task, description=f"round {number + 1} of {rounds}: starting {measured.name}")
                with stack() as address:
                    progress.update(task, description=f"round {number + 1} of {rounds}: measuring {measured.name}")
                    measured.round(address, plan)
