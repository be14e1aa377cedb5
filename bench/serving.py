"""`python -m bench serving`: Banquet and the naive stack on the same data, models and machine, in turns, in one run."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from banquet.releases import registry
from bench import report, stacks, workspace
from bench.answers import agreement
from bench.measure import Measured, Plan

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from banquet.app.settings import Settings
    from bench.stacks import Stack


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
    workspace.add_arguments(parser)
    parser.add_argument("--candidates", type=int, default=500, help="items ranked by naive; Banquet's are in its placements file")
    parser.add_argument("--concurrency", default="1,8,32", help="closed-loop callers, one phase each; 1 is always there")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each phase")
    parser.add_argument("--warm-up", type=float, default=5.0, help="seconds of load before measuring")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each stack")


def run(arguments: Namespace) -> None:
    settings = workspace.prepare(arguments)
    workload = Workload.of(arguments)
    release = registry.resolve(settings.releases, settings.release or None)
    banquet, naive = Measured("banquet"), Measured("naive")
    sides: list[tuple[Measured, Stack]] = [
        (banquet, lambda: stacks.banquet(settings, arguments.settings)),
        (naive, lambda: stacks.naive(settings, release, workload.candidates)),
    ]
    planned = plan(settings, workload)
    _take_turns(sides, planned, workload.rounds)
    body = report.result(
        workload={**workspace.facts(settings), **describe(workload), "users_asked_for": len(planned.requests)},
        banquet=banquet.summary(),
        naive=naive.summary(),
        agreement=agreement(banquet.tops, naive.tops),
    )
    report.write(body, arguments.json)
    report.show(body)


def plan(settings: Settings, workload: Workload) -> Plan:
    requests = workspace.draw_requests(settings, workload.users, workload.limit)
    return Plan(requests, workload.concurrency, workload.seconds, workload.warm_up_s, workload.connections)


def describe(workload: Workload) -> dict[str, Any]:
    return {
        "limit": workload.limit,
        "candidates": workload.candidates,
        "concurrency": list(workload.concurrency),
        "seconds": workload.seconds,
        "rounds": workload.rounds,
        "connections": workload.connections,
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
