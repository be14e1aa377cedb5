"""Event times in Feast's SQLite store, which are UTC written as if it were the local time of whoever writes.

So they can be read by those alone who know the writer's time zone. Processes of one `banquet up` share theirs; writers note it
beside the catalogue for commands that are run in another.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from banquet.features.atomic import write_text

if TYPE_CHECKING:
    from datetime import tzinfo

FILE = "time_zone.txt"
_SYSTEM = Path("/etc/localtime")
_ZONES = "zoneinfo/"


def utc_us(time_s: int, zone: tzinfo | None = None) -> int:
    """Microseconds since 1970 of a stored time, written in `zone`; by default in this process's own, as for Feast's reader."""
    naive = datetime.fromtimestamp(time_s, zone).replace(tzinfo=UTC)
    return int(naive.timestamp()) * 1_000_000


def note_zone(folder: Path) -> None:
    """Leave a note of this process's time zone; `folder` is the catalogue's."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / FILE, _own_zone())


def noted_zone(folder: Path) -> tzinfo | None:
    """The time zone noted last; None without a note, or when no zone has that name."""
    try:
        return ZoneInfo((folder / FILE).read_text().strip())
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return None


def _own_zone() -> str:
    """The name of the zone that `TZ` names, by itself or by its file, or else the system's; an empty `TZ` is UTC."""
    told = os.environ.get("TZ", str(_SYSTEM)).removeprefix(":")
    return str(Path(told).resolve()).partition(_ZONES)[2] if told.startswith("/") else told or "UTC"
