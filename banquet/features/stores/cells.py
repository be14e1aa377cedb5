"""What an online store is asked, whichever it is: the stored values of entities, and when they were true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from banquet.core.errors import StageFailed
    from banquet.features.project.layout import View

# The event time in microseconds since 1970 (None: the store has none), and a serialized value per feature asked for: empty for a
# stored null, None where nothing is stored.
StoredRow: TypeAlias = "tuple[int | None, Sequence[bytes | None]]"
NOTHING: StoredRow = (None, ())


@dataclass(frozen=True, slots=True)
class Part:
    """Some features of one stored view."""

    view: View
    features: tuple[str, ...]


class CellStore(Protocol):
    """An online store. `absent_is_present`: Feast's reader of it says PRESENT, with the time 0, of what it does not have."""

    absent_is_present: bool

    async def fetch(
        self, project: str, parts: Sequence[Part], keys: Sequence[Sequence[bytes]]
    ) -> list[list[StoredRow | StageFailed]]:
        """One row for each of `keys[n]`, the entity keys that `parts[n]` is asked for; `NOTHING` for entities without one.

        A row may be what went wrong with it.
        Raises `StageFailed` when the store does not answer.
        """
        ...

    async def aclose(self) -> None: ...
