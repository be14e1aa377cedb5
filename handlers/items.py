"""The item side of the models: a catalogue's columns become the lines that lie beside the models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from banquet.wire.availability import availability
from banquet.wire.bits import unpack_bits
from handlers.changes import changed_rows, rows_before
from handlers.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from banquet.wire.catalogue_file import CatalogueFile
    from banquet.wire.schema import FeatureSchema, ItemInputs
    from handlers.engines.engine import Graph

# Items per run of a graph: bounds the memory of a large catalogue's encoding.
CHUNK = 8192
# With more items changed than this share, encoding all of them anew is as quick.
MANY = 0.5


@dataclass(frozen=True, slots=True)
class ResidentItems:
    """One catalogue version as the models need it: N items, whose lines are in S slots that versions share.

    `vectors` float32 [S, d] and `features` [S, F] (None where no ranking model lives) are the lines. `slots` int64 [N + 1] has
    each row's, and slot 0, a line of zeros, for row -1. `rows` int64 [S] says whose line a slot is, -1 for no item of this
    version. `available` bool [N] tells the items that may be found, `shown` bool [S] their slots; `hidden` int64 are the other
    slots. `catalogue` is what it was made of. `encoded` says how many items went through the models for it.
    """

    version: str
    tables: Tables
    vectors: Tensor
    features: Tensor | None
    slots: Tensor
    rows: Tensor
    available: NDArray[np.bool_]
    shown: Tensor
    hidden: Tensor
    catalogue: CatalogueFile
    encoded: int = 0

    def __len__(self) -> int:
        return len(self.slots) - 1

    @property
    def device(self) -> torch.device:
        return self.vectors.device

    def slots_of(self, rows: NDArray[np.int32]) -> Tensor:
        """Where the lines of some rows are, int64 of their shape; 0 for row -1."""
        return self.slots.take(torch.from_numpy(rows.astype(np.int64)).to(self.device))

    def slots_allowed(self, words: NDArray[np.int32]) -> list[Tensor]:
        """The slots that may be found and whose rows' bits are set in `words` [B, ceil(N / 32)]: int64 [n] of each query."""
        allowed = unpack_bits(words, len(self)) & self.available
        return [self.slots.take(torch.from_numpy(np.flatnonzero(its)).to(self.device)) for its in allowed]

    def rows_of(self, slots: Tensor) -> NDArray[np.int32]:
        """Whose lines some slots are; -1 for slot 0."""
        rows: NDArray[np.int32] = self.rows.take(slots).to(torch.int32).cpu().numpy()
        return rows


class ItemSide:
    """Runs `item_encoder`, and `ranker_items` where there is one, over a catalogue. Raises `SchemaMismatch`."""

    def __init__(self, schema: FeatureSchema, graphs: Mapping[str, Graph]) -> None:
        self._schema = schema
        self._vectors = graphs["item_encoder"]
        self._features = graphs.get("ranker_items")

    @torch.inference_mode()
    def encode(self, catalogue: CatalogueFile, before: ResidentItems | None = None) -> ResidentItems:
        """Every item; those that are as they were in the version before keep their lines."""
        self._schema.check_items(catalogue.columns)
        if before is None:
            return self._anew(catalogue)
        old_rows = rows_before(before.catalogue, catalogue)
        changed = changed_rows(self._schema, before.catalogue, catalogue, old_rows)
        if len(changed) > MANY * len(catalogue.ids):
            return self._anew(catalogue)
        if len(changed) > before.tables.room:
            return self._laid_out(catalogue, before, old_rows, changed)
        return self._appended(catalogue, before, old_rows, changed)

    def _anew(self, catalogue: CatalogueFile) -> ResidentItems:
        inputs = self._schema.encode_items(catalogue.ids.to_list(), catalogue.columns)
        return _in_order(catalogue, *self._lines(inputs), encoded=len(catalogue.ids))

    def _laid_out(
        self, catalogue: CatalogueFile, before: ResidentItems, old_rows: NDArray[np.int32] | None, changed: NDArray[np.int64]
    ) -> ResidentItems:
        """New tables with what is still of use of the old ones, when these are full."""
        kept = _kept(before, old_rows)
        made = zip(self._lines(self._inputs(catalogue, changed)), (before.vectors, before.features), strict=True)
        places = torch.from_numpy(changed)
        lines = [
            None if new is None or old is None else old[kept].index_copy_(0, places.to(old.device), new) for new, old in made
        ]
        assert lines[0] is not None, "there are always vectors"
        return _in_order(catalogue, lines[0], lines[1], encoded=len(changed))

    def _appended(
        self, catalogue: CatalogueFile, before: ResidentItems, old_rows: NDArray[np.int32] | None, changed: NDArray[np.int64]
    ) -> ResidentItems:
        """The lines of the version before, and behind them those of what changed; the very same ones if nothing did."""
        if old_rows is None and not len(changed):
            available, shown, hidden = _shown(catalogue, before.slots, before.rows)
            return replace(
                before,
                version=catalogue.version,
                available=available,
                shown=shown,
                hidden=hidden,
                catalogue=catalogue,
                encoded=0,
            )
        tables, slots = before.tables, torch.cat([_kept(before, old_rows), before.slots[-1:]])
        if len(changed):
            slots[torch.from_numpy(changed).to(slots.device)] = tables.append(*self._lines(self._inputs(catalogue, changed)))
        return _resident(catalogue, tables, slots, encoded=len(changed))

    def _inputs(self, catalogue: CatalogueFile, rows: NDArray[np.int64]) -> ItemInputs:
        return self._schema.encode_items(catalogue.ids.take(rows), catalogue.columns, rows)

    def _lines(self, inputs: ItemInputs) -> tuple[Tensor, Tensor | None]:
        return _over_all(self._vectors, inputs), None if self._features is None else _over_all(self._features, inputs)


def _kept(before: ResidentItems, old_rows: NDArray[np.int32] | None) -> Tensor:
    """The slot each row of the new version had in the one before; 0 for a new item."""
    return before.slots[:-1] if old_rows is None else before.slots_of(old_rows)


def _in_order(catalogue: CatalogueFile, vectors: Tensor, features: Tensor | None, *, encoded: int) -> ResidentItems:
    """Tables with the lines of rows 0, 1, ... in slots 1, 2, ..."""
    slots = torch.arange(1, len(vectors) + 2, device=vectors.device)
    slots[-1] = 0
    return _resident(catalogue, Tables(vectors, features), slots, encoded=encoded)


def _resident(catalogue: CatalogueFile, tables: Tables, slots: Tensor, *, encoded: int) -> ResidentItems:
    rows = torch.full((tables.used,), -1, dtype=torch.int64, device=slots.device)
    rows[slots[:-1]] = torch.arange(len(slots) - 1, device=slots.device)
    available, shown, hidden = _shown(catalogue, slots, rows)
    lines = (tables.vectors, tables.features)
    return ResidentItems(catalogue.version, tables, *lines, slots, rows, available, shown, hidden, catalogue, encoded)


def _shown(catalogue: CatalogueFile, slots: Tensor, rows: Tensor) -> tuple[NDArray[np.bool_], Tensor, Tensor]:
    """`available`, `shown` and `hidden`."""
    available = availability(catalogue.columns, len(slots) - 1).shown
    shown = rows >= 0
    shown[slots[torch.from_numpy(np.flatnonzero(~available)).to(slots.device)]] = False
    return available, shown, (~shown).nonzero()[:, 0]


def _over_all(graph: Graph, inputs: ItemInputs) -> Tensor:
    """The graph's one output for every item, [N, width]."""
    n = len(inputs.index)
    # Without items the width is still needed: that of one item nobody knows.
    whole = {name: _at_least_one(getattr(inputs, name)) for name in ("index", "categories", "lists", "numbers")}
    result: Tensor | None = None
    for start in range(0, max(n, 1), CHUNK):
        feeds = {name: torch.from_numpy(array[start : start + CHUNK]).to(graph.device) for name, array in whole.items()}
        (part,) = graph.run(feeds).values()
        if result is None:
            result = torch.empty((n, part.shape[1]), dtype=part.dtype, device=part.device)
        result[start : start + CHUNK] = part[: n - start]
    assert result is not None, "there is at least one chunk"
    return result


def _at_least_one(array: NDArray[np.generic]) -> NDArray[np.generic]:
    return array if len(array) else np.zeros((1, *array.shape[1:]), array.dtype)
