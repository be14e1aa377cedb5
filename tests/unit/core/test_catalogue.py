"""The catalogue looks rows and attributes up."""

import numpy as np
import pytest

from banquet.core.errors import StageFailed
from banquet.wire.catalogue_file import Column, Strings
from tests.fakes import make_catalogue


def test_rows_of_unknown_items_are_minus_one() -> None:
    """Every id gets a row, in order; an item the catalogue lacks gets -1."""
    assert make_catalogue().rows_of(["i3", "nope", "i0"]).tolist() == [3, -1, 0]


def test_a_missing_column_fails_the_stage() -> None:
    """The error says which column, so that the degradation has a reason."""
    with pytest.raises(StageFailed, match="'colour'") as caught:
        make_catalogue().column("colour")
    assert caught.value.reason == "missing_column"


def test_items_without_available_column_are_all_available() -> None:
    """A catalogue that does not say withdraws nothing."""
    assert make_catalogue(columns={}).available().all()
    assert not make_catalogue().available()[-1]


def test_holds_matches_lists_categories_and_numbers() -> None:
    """One wanted value in common is enough, for each kind of column."""
    columns = {
        "genres": Column("categories", "v", np.array([0, 1, 1], np.int32), Strings.of(["a", "b"]), np.array([0, 2, 2, 3])),
        "shelf": Column("category", "v", np.array([1, -1, 0], np.int32), Strings.of(["top", "low"])),
        "year": Column("number", "v", np.array([1999.0, np.nan, 2001.0])),
    }
    catalogue = make_catalogue(3, columns=columns)
    assert catalogue.holds("genres", ["b"]).tolist() == [True, False, True]
    assert catalogue.holds("shelf", ["low", "unheard"]).tolist() == [True, False, False]
    assert catalogue.holds("year", ["2001", "not a number"]).tolist() == [False, False, True]


def test_holds_takes_truths_as_people_write_them() -> None:
    """`available=true` is a filter like any other."""
    assert make_catalogue(3).holds("available", ["True"]).tolist() == [True, True, False]
    assert make_catalogue(3).holds("available", ["false"]).tolist() == [False, False, True]
