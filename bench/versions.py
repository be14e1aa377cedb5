"""`python -m bench versions`: two gateways that run already, such as those of two versions, asked the same in turns."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from banquet.app.tables import show
from banquet.training.datasets.dataset import Dataset
from banquet.v1 import recommendation_pb2 as pb
from bench import report
from bench.load import Outcome, Target, closed_loop
from bench.report import caption

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Sequence

SERVICE = "/banquet.v1.RecommendationService"
USERS, LIMIT, OWN_CANDIDATES = 500, 20, 100
# At most times the baseline's p50 with one caller, in the median round.
BARS = {"home": 1.05, "rank": 1.3}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--address", required=True, help="the gateway that is measured, host:port on this machine")
    parser.add_argument("--baseline", required=True, help="the gateway that it is compared with")
    parser.add_argument("--data", type=Path, default=Path("var/data"), help="the dataset that both serve")
    parser.add_argument("--callers", type=int, default=16, help="callers at once, for the throughput")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each turn")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each gateway for each question")
    parser.add_argument("--seed", type=int, default=7, help="draws users and candidates")
    parser.add_argument("--json", type=Path, required=True, help="file for the result")


def run(arguments: Namespace) -> None:
    asked = questions(Dataset.load(arguments.data), arguments.seed)
    found = asyncio.run(_measure(arguments, asked))
    workload = {"users": USERS, "limit": LIMIT, "own_candidates": OWN_CANDIDATES, "rounds": arguments.rounds}
    body = {**report.circumstances({**workload, "seconds": arguments.seconds, "callers": arguments.callers}), **_summary(found)}
    report.write(body, arguments.json)
    table = Table(title="p50 with one caller and requests per second, against the baseline", caption=caption(body))
    for heading in ("question", "p50 ms", "baseline", "times", "by round", "requests/s", "baseline", "times"):
        table.add_column(heading, justify="left" if heading == "question" else "right")
    for question, facts in body["questions"].items():
        alone, many = facts["one_caller"], facts["many_callers"]
        low, high = min(alone["ratio_by_round"]), max(alone["ratio_by_round"])
        times = [f"{alone['p50_ms']:.2f}", f"{alone['baseline_p50_ms']:.2f}", f"{alone['ratio']:.2f}", f"{low:.2f} to {high:.2f}"]
        table.add_row(question, *times, f"{many['rps']:.0f}", f"{many['baseline_rps']:.0f}", f"{many['ratio']:.2f}")
    show(table)


def questions(dataset: Dataset, seed: int) -> dict[str, tuple[str, list[bytes]]]:
    """Method and requests of `home`, `detail` and `RankItems`, for the same users."""
    rng = np.random.default_rng(seed)
    users = rng.permutation(dataset.users["user_id"].to_pylist())[:USERS].tolist()
    items = dataset.items["item_id"].to_pylist()

    def drawn(count: int) -> list[str]:
        return [items[row] for row in rng.choice(len(items), count, replace=False)]

    home = [pb.RecommendRequest(user_id=user, placement="home", limit=LIMIT) for user in users]
    detail = [
        pb.RecommendRequest(user_id=user, placement="detail", limit=LIMIT, context=pb.QueryContext(item_id=drawn(1)[0]))
        for user in users
    ]
    rank = [pb.RankItemsRequest(user_id=user, item_ids=drawn(min(OWN_CANDIDATES, len(items)))) for user in users]
    return {
        "home": (f"{SERVICE}/Recommend", [request.SerializeToString() for request in home]),
        "detail": (f"{SERVICE}/Recommend", [request.SerializeToString() for request in detail]),
        "rank": (f"{SERVICE}/RankItems", [request.SerializeToString() for request in rank]),
    }


Found = dict[tuple[str, str, int], list[Outcome]]


async def _measure(arguments: Namespace, asked: dict[str, tuple[str, list[bytes]]]) -> Found:
    """Outcomes of each round by side, question and number of callers; who goes first changes from round to round."""
    found: Found = defaultdict(list)
    sides = [("measured", arguments.address), ("baseline", arguments.baseline)]
    for number in range(-1, arguments.rounds):
        for question, (method, requests) in asked.items():
            for callers in (1, arguments.callers):
                for side, address in sides if number % 2 else reversed(sides):
                    # One round before those that count warms both up.
                    outcome = await _turn(address, method, requests, callers, arguments.seconds if number >= 0 else 1.0)
                    if number >= 0:
                        found[side, question, callers].append(outcome)
    return found


async def _turn(address: str, method: str, requests: Sequence[bytes], callers: int, seconds: float) -> Outcome:
    async with Target(address, method, requests, connections=min(callers, 4)) as target:
        outcome = await closed_loop(target, concurrency=callers, seconds=seconds)
    if not outcome.samples:
        raise ValueError(f"{address} answered nothing; failures: {dict(outcome.failures)}")
    return outcome


def _summary(found: Found) -> dict[str, Any]:
    """Ratios first; the median of the rounds' own ratios, each of turns right behind each other."""
    names = list(dict.fromkeys(question for _, question, _ in found))
    many = max(callers for *_, callers in found)
    facts = {
        question: {"one_caller": _latency(found, question), "many_callers": _throughput(found, question, many)}
        for question in names
    }
    return {
        "ratio": {question: of["one_caller"]["ratio"] for question, of in facts.items()},
        "questions": facts,
        "bars": [
            {"name": f"{name}: p50 times the baseline's", "value": facts[name]["one_caller"]["ratio"], "bar": bar}
            | {"met": facts[name]["one_caller"]["ratio"] <= bar}
            for name, bar in BARS.items()
        ],
    }


def _latency(found: Found, question: str) -> dict[str, Any]:
    return _compared(found, question, 1, "p50_ms", lambda outcome: outcome.percentile_ms(50))


def _throughput(found: Found, question: str, callers: int) -> dict[str, Any]:
    return _compared(found, question, callers, "rps", lambda outcome: outcome.rps)


def _compared(found: Found, question: str, callers: int, name: str, value: Callable[[Outcome], float]) -> dict[str, Any]:
    ours, theirs = ([value(one) for one in found[side, question, callers]] for side in ("measured", "baseline"))
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {
        "ratio": median(ratios),
        name: median(ours),
        f"baseline_{name}": median(theirs),
        "ratio_by_round": ratios,
        "failures": _failures(found, question, callers),
    }


def _failures(found: Found, question: str, callers: int) -> dict[str, int]:
    return {side: sum(sum(one.failures.values()) for one in found[side, question, callers]) for side in ("measured", "baseline")}
