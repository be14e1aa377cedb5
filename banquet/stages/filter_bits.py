"""The rows that a query's filters allow, as bits that travel to the models."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from banquet.core.errors import StageFailed
from banquet.wire.bits import pack_bits, words_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from banquet.core.catalogue import Catalogue
    from banquet.core.query import AttributeFilter, Query

Words: TypeAlias = NDArray[np.int32]

# Sets of filters that are remembered; each takes 125 kB of a million items.
KEPT = 64
# Of so many items they are made before another thread would have begun.
FEW = 20_000
# What a job may hold of one query: 4 million items. In larger catalogues filters wait until candidates were found.
MOST_WORDS = 2**17


class FilterBits:
    """Makes the bits of a set of filters once for each state of the columns it looks at. Use it within one event loop."""

    def __init__(self) -> None:
        self._made: dict[Hashable, asyncio.Future[Words | None]] = {}

    async def of(self, query: Query) -> Words | None:
        """Words [ceil(N / 32)] of the rows that meet every filter; None without filters, and where they must wait until
        candidates were found: in too large a catalogue, or one that lacks a column.
        """
        catalogue = query.catalogue
        if not query.filters or words_of(len(catalogue)) > MOST_WORDS:
            return None
        key = _key(catalogue, query.filters)
        made = self._made.pop(key, None)
        if made is None or (made.done() and (made.cancelled() or made.exception())):
            made = self._begun(catalogue, query.filters)
        # The one that was used last stays longest.
        self._made[key] = made
        while len(self._made) > KEPT:
            del self._made[next(iter(self._made))]
        # Others wait for it, too.
        return await asyncio.shield(made)

    @staticmethod
    def _begun(catalogue: Catalogue, filters: Sequence[AttributeFilter]) -> asyncio.Future[Words | None]:
        if len(catalogue) > FEW:
            return asyncio.ensure_future(asyncio.to_thread(_words, catalogue, filters))
        made = asyncio.get_running_loop().create_future()
        made.set_result(_words(catalogue, filters))
        return made


def _key(catalogue: Catalogue, filters: Sequence[AttributeFilter]) -> Hashable:
    """What the bits depend on: a new version of the catalogue with the same columns has the same."""
    parts = catalogue.file.parts
    names = ("ids", *sorted({f"column:{wanted.attribute}" for wanted in filters}))
    state = tuple(parts.get(name, catalogue.version) for name in names)
    return state, frozenset((wanted.attribute, frozenset(wanted.values)) for wanted in filters)


def _words(catalogue: Catalogue, filters: Sequence[AttributeFilter]) -> Words | None:
    mask = np.ones(len(catalogue), np.bool_)
    try:
        for wanted in filters:
            mask &= catalogue.holds(wanted.attribute, wanted.values)
    except StageFailed:
        # The catalogue lacks a column: the filter stage says so.
        return None
    return pack_bits(mask)
