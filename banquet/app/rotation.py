"""Keeps the log files of children within bounds. Children go on writing to the same open file all the while."""

from __future__ import annotations

import asyncio
import logging
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

log = logging.getLogger(__name__)

LOOK_S = 5.0


async def keep_rotating(files: Iterable[Path], max_bytes: int, kept: int) -> None:
    """Look at the files every few seconds, for ever."""
    files = list(files)
    while True:
        for file in files:
            try:
                await asyncio.to_thread(rotate, file, max_bytes, kept)
            except OSError as error:
                log.warning("%s cannot be begun anew: %s", file, error)
        await asyncio.sleep(LOOK_S)


def rotate(file: Path, max_bytes: int, kept: int) -> bool:
    """Move the content of a file that has grown past `max_bytes` to `file.1`, that of `file.1` to `file.2`, ...

    The file itself is emptied, not replaced: whoever has it open for appending writes on at its start. Lines written in the
    moment between the last look and that are lost.
    """
    if not file.exists() or file.stat().st_size <= max_bytes:
        return False
    earlier = [file.with_name(f"{file.name}.{number}") for number in range(1, kept + 1)]
    for older, newer in zip(reversed(earlier), [*reversed(earlier[:-1])], strict=False):
        if newer.exists():
            newer.replace(older)
    with file.open("r+b") as source, earlier[0].open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
        source.truncate(0)
    return True
