"""One line of the feature plane's benchmark."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Case:
    """A piece of work on a store: what Banquet takes (median, milliseconds) and what Feast's SDK takes for the same.

    `ratio` says how many times faster Banquet is; it and `sdk_ms` are None where the SDK has nothing to compare. `more` holds a
    case's own numbers, each named with its unit.
    """

    name: str
    store: str
    banquet_ms: float
    sdk_ms: float | None = None
    ratio: float | None = None
    more: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        its = {"name": self.name, "store": self.store, "banquet_ms": self.banquet_ms, "sdk_ms": self.sdk_ms, "ratio": self.ratio}
        return its | dict(self.more)
