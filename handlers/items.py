"""The item side of the models: a catalogue's columns become the arrays that lie beside the models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from handlers.changes import changed_rows, rows_before

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from banquet.wire.catalogue_file import CatalogueFile
    from banquet.wire.schema import FeatureSchema, ItemInputs
    from handlers.engines.engine import Graph

# Items per run of a graph: bounds the memory of a large catalogue's encoding.
CHUNK = 8192
# With more items changed than this share, encoding all of them anew is as quick.
MANY = 0.5


@dataclass(frozen=True, slots=True)
class ResidentItems:
    """One catalogue version as the models need it.

    `vectors` float32 [N + 1, d] and `features` float32 [N + 1, F] end in a row of zeros, which is what row -1 gathers;
    `features` is None where no ranking model lives. `withheld` int64: the rows that are not available. `catalogue` is what it was
    made of; None when nobody will build on it. `encoded` says how many items went through the models.
    """

    version: str
    vectors: NDArray[np.float32]
    features: NDArray[np.float32] | None
    withheld: NDArray[np.int64]
    catalogue: CatalogueFile | None = None
    encoded: int = 0

    def __len__(self) -> int:
        return len(self.vectors) - 1


class ItemSide:
    """Runs `item_encoder`, and `ranker_items` where there is one, over a catalogue. Raises `SchemaMismatch`."""

    def __init__(self, schema: FeatureSchema, graphs: Mapping[str, Graph]) -> None:
        self._schema = schema
        self._vectors = graphs["item_encoder"]
        self._features = graphs.get("ranker_items")

    def encode(self, catalogue: CatalogueFile, before: ResidentItems | None = None) -> ResidentItems:
        """Every item; those that are as they were in the version before keep what they had there."""
        self._schema.check_items(catalogue.columns)
        if before is None or before.catalogue is None:
            return self._all(catalogue)
        old_rows = rows_before(before.catalogue, catalogue)
        changed = changed_rows(self._schema, before.catalogue, catalogue, old_rows)
        if len(changed) > MANY * len(catalogue.ids):
            return self._all(catalogue)
        inputs = self._schema.encode_items(catalogue.ids.take(changed), catalogue.columns, changed) if len(changed) else None
        vectors = _patched(self._vectors, before.vectors, old_rows, changed, inputs)
        features = None
        if self._features is not None and before.features is not None:
            features = _patched(self._features, before.features, old_rows, changed, inputs)
        return ResidentItems(catalogue.version, vectors, features, _withheld(catalogue), catalogue, len(changed))

    def _all(self, catalogue: CatalogueFile) -> ResidentItems:
        inputs = self._schema.encode_items(catalogue.ids.to_list(), catalogue.columns)
        vectors = _over_all(self._vectors, inputs)
        features = None if self._features is None else _over_all(self._features, inputs)
        return ResidentItems(catalogue.version, vectors, features, _withheld(catalogue), catalogue, len(catalogue.ids))


def _patched(
    graph: Graph,
    before: NDArray[np.float32],
    old_rows: NDArray[np.int32] | None,
    changed: NDArray[np.int64],
    inputs: ItemInputs | None,
) -> NDArray[np.float32]:
    """The rows of the version before in the order of this one, with the changed ones encoded; the very same array if none did."""
    if inputs is None and old_rows is None:
        return before
    # Row -1 is the last one, of zeros: what came anew, and the last row of this version, too.
    after = before.copy() if old_rows is None else before[np.append(old_rows, np.int32(-1))]
    if inputs is not None:
        after[changed] = _over_all(graph, inputs)[:-1]
    return after


def _over_all(graph: Graph, inputs: ItemInputs) -> NDArray[np.float32]:
    """The graph's one output for every item, [N + 1, width], the last row zero."""
    n = len(inputs.index)
    result: NDArray[np.float32] | None = None
    # An empty catalogue still needs the width: it is encoded from one item nobody knows.
    whole = {name: _at_least_one(getattr(inputs, name)) for name in ("index", "categories", "lists", "numbers")}
    for start in range(0, max(n, 1), CHUNK):
        feeds: dict[str, NDArray[Any]] = {name: array[start : start + CHUNK] for name, array in whole.items()}
        (part,) = graph.run(feeds).values()
        if result is None:
            result = np.zeros((n + 1, part.shape[1]), np.float32)
        result[start : min(start + CHUNK, n)] = part[: n - start]
    assert result is not None, "there is at least one chunk"
    return result


def _at_least_one(array: NDArray[Any]) -> NDArray[Any]:
    return array if len(array) else np.zeros((1, *array.shape[1:]), array.dtype)


def _withheld(catalogue: CatalogueFile) -> NDArray[np.int64]:
    column = catalogue.columns.get("available")
    if column is None:
        return np.empty(0, np.int64)
    return np.flatnonzero(column.values == 0)
