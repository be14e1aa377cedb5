"""An evaluation as a person reads it: each question beside the baselines, and what to worry about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NUMBERS = {"Banquet": "banquet", "retrieval": "retrieval", "popular": "popularity", "Markov-1": "markov"}


def evaluation_table(body: Mapping[str, Any], *, segments: bool) -> Table:
    """HR@10/NDCG@10 of each question, and the paired difference that ranking makes to retrieval alone, with its 95 % interval.

    `segments` of users stand below their question.
    """
    title = f"{body['users']:,} users of {body['dataset']}, release {body['release']} {body['how']}: HR@10/NDCG@10"
    table = Table(title=Text(title), title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("question", no_wrap=True)
    for heading in (*NUMBERS, "ranking brings"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in body["questions"]:
        is_segment = "/" in entry["name"]
        if is_segment and not segments:
            continue
        users = "" if entry["users"] == body["users"] else f" ({entry['users']:,})"
        name = Text(f"  {entry['title']}{users}" if is_segment else entry["title"])
        table.add_row(name, *(_numbers(entry[of]) for of in NUMBERS.values()), _interval(entry["against_retrieval"]))
    return table


def warnings_of(body: Mapping[str, Any]) -> Iterator[str]:
    """A line for each question that a caller had better not ask this release."""
    for entry in body["questions"]:
        if entry["worse_than_popularity"] and "/" not in entry["name"]:
            difference = entry["against_popularity"]
            yield (
                f"worse than popularity: {entry['title']}, NDCG@10 {entry['banquet']['ndcg@10']:.4f} against"
                f" {entry['popularity']['ndcg@10']:.4f} (95 % of the difference: {difference['low']:+.4f} to"
                f" {difference['high']:+.4f})"
            )
    if body.get("users_of_the_one_kept"):
        yield f"not kept, since an evaluation of {body['users_of_the_one_kept']:,} users is; ask for as many with --users"
    if body.get("degraded_answers"):
        yield f"{body['degraded_answers']:,} answers lacked a model's part: the gateway was too busy or a part of it is broken"


def _numbers(metrics: Mapping[str, float] | None) -> str:
    return "" if metrics is None else f"{_short(metrics['hr@10'])}/{_short(metrics['ndcg@10'])}"


def _interval(difference: Mapping[str, float] | None) -> str:
    if difference is None:
        return ""
    sign = "-" if difference["mean"] < 0 else "+"
    return f"{sign}{_short(abs(difference['mean']))} ± {_short((difference['high'] - difference['low']) / 2)}"


def _short(share: float) -> str:
    """Of a share, four characters: three places without the zero in front, or 1.00."""
    return f"{share:.3f}".removeprefix("0")[:4]
