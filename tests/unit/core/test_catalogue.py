"""The catalogue looks rows and attributes up."""

import time

import numpy as np
import pytest

from banquet.core.catalogue import Catalogue
from banquet.core.errors import StageFailed
from banquet.wire.catalogue_file import CatalogueFile, Column, Strings
from tests.fakes import make_catalogue

ALL = np.arange(3, dtype=np.int32)


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


def test_availability_is_read_as_the_models_read_it() -> None:
    """Words, and what was never written, which shows its item; one that says neither yes nor no is known."""
    words = Column("category", "v", np.array([0, 1, -1, 2], np.int32), Strings.of(["In stock", "Sold out", "perhaps"]))
    catalogue = make_catalogue(4, columns={"available": words})
    assert catalogue.available().tolist() == [True, False, True, True]
    assert catalogue.available(np.array([1, 3], np.int32)).tolist() == [False, True]
    assert catalogue.availability.unreadable.tolist() == [3]


def test_holds_matches_lists_categories_and_numbers() -> None:
    """One wanted value in common is enough, for each kind of column."""
    columns = {
        "genres": Column("categories", "v", np.array([0, 1, 1], np.int32), Strings.of(["a", "b"]), np.array([0, 2, 2, 3])),
        "shelf": Column("category", "v", np.array([1, -1, 0], np.int32), Strings.of(["top", "low"])),
        "year": Column("number", "v", np.array([1999.0, np.nan, 2001.0])),
    }
    catalogue = make_catalogue(3, columns=columns)
    assert catalogue.holds("genres", ["b"], ALL).tolist() == [True, False, True]
    assert catalogue.holds("genres", ["b"], ALL[::-2]).tolist() == [True, True]
    assert catalogue.holds("genres", ["a"], ALL[1:]).tolist() == [False, False]
    assert catalogue.holds("shelf", ["low", "unheard"], ALL).tolist() == [True, False, False]
    assert catalogue.holds("year", ["2001", "not a number"], ALL).tolist() == [False, False, True]


def test_holds_takes_truths_as_people_write_them() -> None:
    """`available=true` is a filter like any other."""
    assert make_catalogue(3).holds("available", ["True"], ALL).tolist() == [True, True, False]
    assert make_catalogue(3).holds("available", ["false"], ALL).tolist() == [False, False, True]


def test_features_of_some_items_at_once() -> None:
    """Numbers, texts and lists in the order asked for; nulls apart from zeros; an unknown item is NOT_FOUND."""
    columns = {
        "count": Column("number", "activity", np.array([0, 5, 0]), absent=np.array([0, 0, 1], np.uint8)),
        "colour": Column("category", "profile", np.array([1, -1, 0], np.int32), Strings.of(["blue", "red"])),
        "genres": Column(
            "categories", "profile", np.array([0, 1, 1], np.int32), Strings.of(["a", "b"]), np.array([0, 2, 2, 3], np.int64)
        ),
        "vector": Column("numbers", "profile", np.array([0.5, 1.5], np.float32), offsets=np.array([0, 1, 2, 2], np.int64)),
    }
    views = ("activity", "profile")
    file = CatalogueFile(
        "0" * 16,
        Strings.of(["i0", "i1", "i2"]),
        columns,
        {view: np.array([1, 1, 1], np.uint8) for view in views},
        {view: np.array([7, 8, 9]) for view in views},
    )
    picked = Catalogue(file, 0.0).get(["i2", "nobody", "i1", "i0"], list(columns))
    assert picked["count"].values.tolist() == [0, 0, 5, 0]
    assert picked["count"].absent.tolist() == [1, 2, 0, 0]
    assert picked["colour"].values == ["blue", None, None, "red"]
    assert picked["genres"].values == [["b"], [], [], ["a", "b"]]
    assert [numbers.tolist() for numbers in picked["vector"].values] == [[], [], [1.5], [0.5]]
    assert picked["count"].statuses.tolist() == [1, 3, 1, 1]
    assert picked["colour"].event_times_us.tolist() == [9, 0, 8, 7]


def test_a_larger_catalogue_may_be_older(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is per 100,000 items."""
    catalogue = Catalogue(make_catalogue().file, time.time() - 3.0, fresh_s=2.0)
    assert catalogue.is_stale()
    monkeypatch.setattr("banquet.core.catalogue.FRESH_ITEMS", 5)
    assert not catalogue.is_stale()
