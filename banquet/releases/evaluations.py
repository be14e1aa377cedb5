"""Results of evaluations: `<root>/evaluations/<version>.json`, outside of the sealed folder of their release.

    {"release", "dataset", "how": "in process" or "over gRPC", "users", "seed", "at",
     "questions": [{"name", "title", "users", "banquet": {"hr@10", "ndcg@10"}, "popularity", "markov", "retrieval",
                    "against_popularity": {"mean", "low", "high"}, "against_retrieval", "worse_than_popularity": bool}]}

`popularity`, `markov` and `retrieval` are as `banquet`; whatever was not measured is null. A name such as `catalogue/short` is
that of a segment, a part of a question's users: it is shown, not judged, since popularity is hard to beat on popular items alone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from banquet.core.errors import BadRelease
from banquet.wire.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER = "evaluations"
_SCORES, _INTERVAL = ("hr@10", "ndcg@10"), ("mean", "low", "high")
_NUMBERS = {
    "banquet": _SCORES,
    "popularity": _SCORES,
    "markov": _SCORES,
    "retrieval": _SCORES,
    "against_popularity": _INTERVAL,
    "against_retrieval": _INTERVAL,
}


def write(root: Path, version: str, body: Mapping[str, Any]) -> None:
    """Keep a release's evaluation in the place of an earlier one. Raises `BadRelease` for a body that `read` would refuse."""
    path = _path(root, version)
    try:
        _check(body, version)
        content = json.dumps(body, indent=1, allow_nan=False).encode()
    except (ValueError, KeyError, TypeError) as error:
        raise BadRelease(f"{path}: not an evaluation of release {version} ({_in_words(error)}); it was not written") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)


def write_unless_smaller(root: Path, version: str, body: Mapping[str, Any]) -> int:
    """Keep an evaluation unless one of more users is there, which knows better: how many users that has, or 0 when this is kept.

    Raises as `write`. A damaged file is replaced.
    """
    try:
        earlier = read(root, version)
    except BadRelease:
        earlier = None
    if earlier is not None and earlier["users"] > body["users"]:
        users: int = earlier["users"]
        return users
    write(root, version, body)
    return 0


def read(root: Path, version: str) -> Mapping[str, Any] | None:
    """A release's evaluation, None where there is none. Raises `BadRelease` when the file is damaged."""
    path = _path(root, version)
    try:
        body: Mapping[str, Any] = json.loads(path.read_bytes())
        _check(body, version)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise BadRelease(
            f"{path}: not an evaluation of release {version} ({_in_words(error)}); remove it, "
            f"or make it anew with `banquet evaluate --release {version}`"
        ) from error
    return body


def is_segment(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is about a part of a question's users."""
    return "/" in entry["name"]


def worse_than_popularity(body: Mapping[str, Any]) -> list[str]:
    """The names of the questions that popularity answers better, certainly."""
    return [entry["name"] for entry in body["questions"] if entry["worse_than_popularity"] and not is_segment(entry)]


def scores_in_words(scores: Mapping[str, float] | None) -> str:
    """HR@10 and NDCG@10 as `0.293 / 0.150`; nothing of what was not measured."""
    return "" if scores is None else f"{scores['hr@10']:.3f} / {scores['ndcg@10']:.3f}"


def _path(root: Path, version: str) -> Path:
    return root / FOLDER / f"{version}.json"


def _check(body: Mapping[str, Any], version: str) -> None:
    """Raises `ValueError`, `KeyError` or `TypeError` for what cannot be shown or judged."""
    if body["release"] != version:
        raise ValueError(f"it is of release {body['release']!r}")
    for part in (body, *body["questions"]):
        _is(int, part, "users")
    for name in ("dataset", "how", "at"):
        _is(str, body, name)
    for entry in body["questions"]:
        _is(str, entry, "name")
        _is(str, entry, "title")
        _is(bool, entry, "worse_than_popularity")
        for name, numbers in _NUMBERS.items():
            needed = name == "banquet" or (entry["worse_than_popularity"] and name.endswith("popularity"))
            if needed or entry[name] is not None:
                for number in numbers:
                    _is(float, entry[name], number)


def _is(kind: type, part: Mapping[str, Any], name: str) -> None:
    # A whole number is a number, too; a truth value is none.
    wanted = (float, int) if kind is float else kind
    if not isinstance(part[name], wanted) or (kind is not bool and isinstance(part[name], bool)):
        raise TypeError(f"{name} is {part[name]!r}, not {kind.__name__}")


def _in_words(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
