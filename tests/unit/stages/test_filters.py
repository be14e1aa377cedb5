"""Filters say which candidates stay."""

import numpy as np

from banquet.core.candidates import Candidates
from banquet.core.query import AttributeFilter, UserFeatures
from banquet.stages.filters.attributes import Attributes
from banquet.stages.filters.available import Available
from banquet.stages.filters.duplicates import Duplicates
from banquet.stages.filters.seen import Seen
from tests.fakes import make_query


def candidates(*rows: int) -> Candidates:
    return Candidates.of("s", np.array(rows, np.int32), np.zeros(len(rows), np.float32))


def test_seen_drops_history_exclusions_and_the_item_on_the_page() -> None:
    """Nothing the user has had comes back."""
    query = make_query(exclude_item_ids=("i1", "nope"), item_id="i2").with_user(UserFeatures("u1", {}, ("i0",), found=True))
    assert Seen().keep(query, candidates(0, 1, 2, 3)).tolist() == [False, False, False, True]


def test_available_drops_withdrawn_items() -> None:
    """The catalogue's column decides."""
    assert Available().keep(make_query(), candidates(8, 9)).tolist() == [True, False]


def test_attributes_must_all_hold() -> None:
    """Two filters are an AND, the values of one an OR."""
    wanted = (AttributeFilter("genres", ("Comedy",)), AttributeFilter("year", ("1990", "1991")))
    assert Attributes().keep(make_query(filters=wanted), candidates(0, 1, 2)).tolist() == [True, False, False]


def test_duplicates_keeps_the_first_of_each() -> None:
    """The first source to find an item keeps it."""
    assert Duplicates().keep(make_query(), candidates(4, 2, 4, 2, 7)).tolist() == [True, True, False, False, True]
