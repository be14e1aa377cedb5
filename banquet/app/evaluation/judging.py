"""What the answers are worth: HR@10 and NDCG@10 beside the baselines, with paired 95 % intervals."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from banquet.app.evaluation.cases import FEWEST_USERS
from banquet.training.evaluate import TOP, interval_95

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from banquet.app.evaluation.cases import Question

    Gains = NDArray[np.float64]

# The lists that every question has; `retrieval` is None where nobody could be asked.
ANSWERED = ("banquet", "popularity", "markov", "retrieval")


def gains(question: Question, lists: Sequence[Sequence[str]]) -> Gains:
    """NDCG@10 of each case [U]: 1 / log2(place + 1) of the item taken, 0 where it is not among the first ten."""
    values = np.zeros(len(lists))
    for number, (case, items) in enumerate(zip(question.cases, lists, strict=True)):
        if case.taken in (first := list(items[:TOP])):
            values[number] = 1 / np.log2(first.index(case.taken) + 2)
    return values


def judged(question: Question, lists: Mapping[str, Sequence[Sequence[str]] | None]) -> list[dict[str, Any]]:
    """The question's entry, then one for each of its segments. `lists` are by the names in `ANSWERED`."""
    gains_by_name = {name: None if (own := lists[name]) is None else gains(question, own) for name in ANSWERED}
    whole = np.ones(len(question.cases), np.bool_)
    parts = [(question.name, question.title, whole)]
    parts += [(f"{question.name}/{name}", name, mask) for name, mask in question.segments.items()]
    return [
        _entry(name, title, {of: None if own is None else own[mask] for of, own in gains_by_name.items()})
        for name, title, mask in parts
    ]


def report(
    entries: Sequence[Mapping[str, Any]], *, release: str, dataset: str, how: str, users: int, seed: int, took_s: float
) -> dict[str, Any]:
    """Everything about one evaluation, as JSON has it."""
    return {
        "release": release,
        "dataset": dataset,
        "how": how,
        "users": users,
        "seed": seed,
        "at": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds"),
        "took_s": round(took_s, 1),
        "questions": list(entries),
    }


def _entry(name: str, title: str, gains_by_name: Mapping[str, Gains | None]) -> dict[str, Any]:
    ours = gains_by_name["banquet"]
    assert ours is not None, "Banquet always answers"
    against = {
        of: None if (own := gains_by_name[of]) is None else _paired(ours - own) for of in ("popularity", "markov", "retrieval")
    }
    behind = against["popularity"]
    return {
        "name": name,
        "title": title,
        "users": len(ours),
        **{of: None if own is None else _metrics(own) for of, own in gains_by_name.items()},
        **{f"against_{of}": difference for of, difference in against.items()},
        # An interval of a few users is no interval: theirs may be all alike.
        "worse_than_popularity": behind is not None and len(ours) >= FEWEST_USERS and behind["high"] < 0,
    }


def _metrics(values: Gains) -> dict[str, float]:
    """With the 95 % interval of the mean NDCG@10."""
    low, high = interval_95(values)
    return {"hr@10": float((values > 0).mean()), "ndcg@10": float(values.mean()), "low": low, "high": high}


def _paired(difference: Gains) -> dict[str, float]:
    low, high = interval_95(difference)
    return {"mean": float(difference.mean()), "low": low, "high": high}
