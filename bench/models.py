"""`python -m bench models`: ranking on every engine there is, and the cascade against two model calls."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from banquet.releases import registry
from bench import model_calls, report, workspace
from bench.load import percentile
from bench.ranking_sides import GRAPHS, SERVED, TRAINED, Question, sides
from handlers.ranker import MAX_PAIRS
from handlers.release_files import ReleaseFiles

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Mapping, Sequence

    from bench.ranking_sides import Side

BATCHES = (1, 8, 32)
COUNTED_QUERIES = 8


def add_arguments(parser: ArgumentParser) -> None:
    workspace.add_arguments(parser)
    parser.add_argument("--candidates", type=int, default=500, help="items ranked per query")
    parser.add_argument("--threads", type=int, default=1, help="threads of the ranking model")
    parser.add_argument("--rounds", type=int, default=40, help="turns of every engine, and of the cascade and the two calls")


def run(arguments: Namespace) -> None:
    settings = workspace.prepare(arguments)
    release = registry.resolve(settings.releases, settings.release or None)
    with TemporaryDirectory(prefix="bench-models-") as name:
        ranking = rank(release, Path(name), arguments.candidates, arguments.threads, arguments.rounds)
        calls = model_calls.compare(settings, Path(name), arguments.users, arguments.limit, arguments.rounds)
    workload = {key: getattr(arguments, key) for key in ("candidates", "threads", "rounds", "users", "limit")}
    body = {
        **report.circumstances({**workspace.facts(settings), **workload, "release": release.name}),
        "ratio": {"ranking": ranking["best_against"], "cascade_lower_p50": calls["lower_p50"]},
        "ranking": ranking,
        "model_calls": calls,
    }
    report.write(body, arguments.json)
    show(body)


def rank(release: Path, made: Path, candidates: int, threads: int, rounds: int) -> dict[str, Any]:
    """Times per query of every side at every batch, in turns, so that a busy moment meets them all.

    They are held against each other by the processor's time: one thread's, in which neighbours on the same cores do not count.
    """
    known = list(sides(release, made, threads))
    files = ReleaseFiles(release, GRAPHS)
    batches = {str(batch): _batch(files, known, batch, candidates, rounds) for batch in BATCHES}
    alone = {name: times["process_p50_ms"] for name, times in batches["1"].items()}
    # Narrower numbers are compared, not served.
    best = min((side.name for side in known if side.served), key=alone.__getitem__)
    return {
        "best": best,
        "best_against": {name: alone[name] / alone[best] for name in (TRAINED, SERVED)},
        "per_query": batches,
    }


def _batch(
    files: ReleaseFiles, known: Sequence[Side], batch: int, candidates: int, rounds: int
) -> dict[str, Mapping[str, float]]:
    """A job of `batch` queries, in as many runs as a handler makes of it."""
    step = max(1, min(batch, MAX_PAIRS // candidates))
    question = Question.drawn(files, step, candidates)
    jobs = {side.name: question.asked(side) for side in known}
    expected = jobs[TRAINED]()
    errors = {name: float((ask().float() - expected).abs().max()) for name, ask in jobs.items()}
    wall_ms: dict[str, list[float]] = defaultdict(list)
    processor_ms: dict[str, list[float]] = defaultdict(list)
    for _ in track(range(rounds), description=f"ranking, batch {batch}", transient=True):
        for name, ask in jobs.items():
            for _ in range(max(1, COUNTED_QUERIES // batch)):
                wall, processor = _timed(ask, -(-batch // step))
                wall_ms[name].append(wall / batch)
                processor_ms[name].append(processor / batch)
    return {
        name: {
            "p50_ms": percentile(wall_ms[name], 50),
            "p10_ms": percentile(wall_ms[name], 10),
            "p90_ms": percentile(wall_ms[name], 90),
            "process_p50_ms": percentile(processor_ms[name], 50),
            "process_p10_ms": percentile(processor_ms[name], 10),
            "largest_error": errors[name],
        }
        for name in jobs
    }


def _timed(ask: Callable[[], object], runs: int) -> tuple[float, float]:
    """Milliseconds by the clock and of the processor."""
    wall_s, processor_s = time.perf_counter(), time.process_time()
    for _ in range(runs):
        ask()
    return (time.perf_counter() - wall_s) * 1e3, (time.process_time() - processor_s) * 1e3


def show(body: Mapping[str, Any]) -> None:
    """For a person: the ratios first."""
    ranking, calls = body["ranking"], body["model_calls"]
    against = ", ".join(f"{ratio:.1f} times as fast as {name}" for name, ratio in ranking["best_against"].items())
    table = Table(
        title=f"Ranking on {ranking['best']}: {against}",
        caption=report.caption(body),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("ms per query (of the processor)")
    for batch in ranking["per_query"]:
        table.add_column(f"batch {batch}", justify="right")
    for name in ranking["per_query"]["1"]:
        times = [at[name] for at in ranking["per_query"].values()]
        table.add_row(name, *(f"{one['p50_ms']:.2f} ({one['process_p50_ms']:.2f})" for one in times))
    one, two = calls["cascade"], calls["two_calls"]
    lower = calls["lower_p50"]
    both = Table(title=f"The cascade's p50 is {lower['recommend_p50_ms']:.0%} lower than two calls'", title_justify="left")
    for column in ("p50 ms", "cascade", "two calls", "lower by"):
        both.add_column(column, justify="left" if column == "p50 ms" else "right")
    for key, name in (
        ("recommend_p50_ms", "Recommend"),
        ("model_calls_p50_ms", "model calls"),
        ("models_p50_ms", "models alone"),
    ):
        both.add_row(name, f"{one[key]:.2f}", f"{two[key]:.2f}", f"{lower[key]:.0%}")
    Console().print(table, both)
