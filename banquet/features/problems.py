"""What keeps the layout or the catalogue from being kept up: notes beside them, for whoever asks how things stand."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from banquet.features.atomic import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Part = Literal["layout", "catalogue"]

log = logging.getLogger(__name__)

PARTS: tuple[Part, ...] = ("layout", "catalogue")


def note_problem(folder: Path, part: Part, problem: str) -> None:
    """Leave a note of what is wrong with a part; an empty one takes it away. `folder` is the catalogue's.

    A note that cannot be written, as on a full disk, is logged: whoever keeps things up must go on.
    """
    try:
        if problem:
            folder.mkdir(parents=True, exist_ok=True)
            write_text(_file(folder, part), problem)
        else:
            _file(folder, part).unlink(missing_ok=True)
    except OSError as error:
        log.warning("no note of what is wrong with the %s: %s", part, error)


def noted_problems(folder: Path) -> Mapping[Part, str]:
    """What is wrong, by part; those that are well are not in it."""
    found: dict[Part, str] = {}
    for part in PARTS:
        try:
            found[part] = _file(folder, part).read_text()
        except FileNotFoundError:
            continue
    return found


def in_words(problems: Mapping[Part, str]) -> str:
    """For a person; empty without any."""
    return "; ".join(f"the {part} is not kept up: {problem}" for part, problem in problems.items())


def _file(folder: Path, part: Part) -> Path:
    return folder / f"problem-{part}.txt"
