"""What is different between two versions of a catalogue, as far as the models see it, without a Python object per item."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from banquet.wire.item_index import ItemIndex, equal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from banquet.wire.catalogue_file import CatalogueFile
    from banquet.wire.columns import Column
    from banquet.wire.schema import FeatureSchema


def rows_before(before: CatalogueFile, after: CatalogueFile) -> NDArray[np.int32] | None:
    """The row each item of `after` had in `before`, int32 [N], -1 for new ones; None when all are where they were."""
    if _same(before, after, "ids"):
        return None
    old, new = before.index or ItemIndex.of(before.ids), after.index or ItemIndex.of(after.ids)
    rows = np.full(len(after.ids), -1, np.int32)
    if not len(old.hashes):
        return rows
    places = np.minimum(np.searchsorted(old.hashes, new.hashes), len(old.hashes) - 1)
    alike = old.hashes[places] == new.hashes
    new_rows, old_rows = new.rows[alike], old.rows[places[alike]]
    # Items that share a hash count as new: they are encoded, not mistaken for each other.
    same = equal(after.ids, new_rows, before.ids, old_rows)
    rows[new_rows[same]] = old_rows[same]
    return rows


def changed_rows(
    schema: FeatureSchema, before: CatalogueFile, after: CatalogueFile, old_rows: NDArray[np.int32] | None
) -> NDArray[np.int64]:
    """The rows of `after` whose model inputs are not those of the version before; a new item's always."""
    changed = np.zeros(len(after.ids), np.bool_) if old_rows is None else old_rows < 0
    for feature in schema.item:
        name = feature.name
        old = before.columns.get(name)
        if old is None or old.kind != feature.kind:
            return np.arange(len(after.ids))
        if not _same(before, after, f"column:{name}"):
            changed |= _differ(old, after.columns[name], old_rows)
    return np.flatnonzero(changed)


def _same(before: CatalogueFile, after: CatalogueFile, part: str) -> bool:
    return part in after.parts and before.parts.get(part) == after.parts[part]


def _differ(old: Column, new: Column, old_rows: NDArray[np.int32] | None) -> NDArray[np.bool_]:
    """Which rows hold another value than before, bool [N]."""
    if new.offsets is None or old.offsets is None:
        values = old.values if old_rows is None else old.values[old_rows]
        differ: NDArray[np.bool_] = _translated(old, new, values) != new.values
        if new.kind == "number" and new.values.dtype.kind == "f":
            differ &= ~(np.isnan(new.values) & np.isnan(values))
        return differ
    lengths, old_lengths = np.diff(new.offsets), np.diff(old.offsets)
    begins = old.offsets[:-1]
    if old_rows is not None:
        old_lengths, begins = old_lengths[old_rows], begins[old_rows]
    differ = lengths != old_lengths
    compared = np.where(differ, 0, lengths)
    ends = np.cumsum(compared)
    within = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - compared, compared)
    left = _translated(old, new, old.values)[np.repeat(begins, compared) + within]
    right = new.values[np.repeat(new.offsets[:-1], compared) + within]
    differ[np.repeat(np.arange(len(lengths)), compared)[left != right]] = True
    return differ


def _translated(old: Column, new: Column, values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Old codes in the words of the new vocabulary; words it does not have become -2, which no code is."""
    if old.vocabulary is None or new.vocabulary is None:
        return values
    if np.array_equal(old.vocabulary.blob, new.vocabulary.blob) and np.array_equal(
        old.vocabulary.offsets, new.vocabulary.offsets
    ):
        return values
    code_of = {text: code for code, text in enumerate(new.vocabulary.to_list())}
    codes = np.array([code_of.get(text, -2) for text in old.vocabulary.to_list()] + [-1], np.int32)
    translated: NDArray[np.int32] = codes[values]
    return translated
