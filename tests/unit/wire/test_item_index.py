"""Finding items by id in sorted hashes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from banquet.wire import item_index
from banquet.wire.columns import Strings
from banquet.wire.item_index import ItemIndex, hashes_of

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@given(st.lists(ANY_TEXT, unique=True, max_size=20), st.lists(ANY_TEXT, max_size=20))
def test_every_id_is_found_and_no_other(ids, others):
    """As a table of ids would find them."""
    table = {item: row for row, item in enumerate(ids)}
    strings = Strings.of(ids)
    wanted = ids[::-1] + others
    assert ItemIndex.of(strings).find(strings, wanted).tolist() == [table.get(item, -1) for item in wanted]


def test_ids_that_share_a_hash_are_told_apart(monkeypatch):
    """However bad the hash: what is found is the id itself."""
    monkeypatch.setattr(item_index, "hashes_of", lambda texts: np.arange(len(texts)) * 0)
    strings = Strings.of(["a", "b", "c"])
    assert ItemIndex.of(strings).find(strings, ["c", "x", "a"]).tolist() == [2, -1, 0]


def test_pieces_do_not_show(monkeypatch):
    """Large catalogues are hashed piece by piece."""
    texts = Strings.of([f"item {number}" * (number % 30) for number in range(100)])
    whole = hashes_of(texts)
    monkeypatch.setattr(item_index, "PIECE", 7)
    np.testing.assert_array_equal(hashes_of(texts), whole)


def test_hashes_are_the_same_for_ever():
    """They lie in files."""
    assert hashes_of(Strings.of(["", "a", "ab", "é"])).tolist() == [
        0,
        -8034309580187452162,
        5270805021252594365,
        9014516305577848494,
    ]
