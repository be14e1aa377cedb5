"""How ids are spelled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banquet.core.ids import KeyTypes, first_problem, id_problem


@given(st.text())
def test_every_text_is_an_id_of_strings(text: str) -> None:
    assert not id_problem("STRING", text)


@given(st.integers(-(2**64), 2**64))
def test_a_whole_number_has_one_spelling(number: int) -> None:
    assert bool(id_problem("INT64", str(number))) == (not -(2**63) <= number < 2**63)
    assert bool(id_problem("INT32", str(number))) == (not -(2**31) <= number < 2**31)


@pytest.mark.parametrize(
    ("kind", "text", "problem"),
    [
        ("INT64", "007", "'007' is not how the id is spelled: the repo's key is a whole number of 64 bits; write '7'"),
        ("INT64", "+7", "write '7'"),
        ("INT64", " 7 ", "write '7'"),
        ("INT64", "-0", "write '0'"),
        ("INT64", "00", "write '0'"),
        ("INT64", "-007", "write '-7'"),
        ("INT64", "7\n", "write '7'"),
        ("INT64", "1_0", "'1_0' is no id: the repo's key is a whole number of 64 bits; write it in digits alone"),
        ("INT64", "7.0", "is no id"),
        ("INT64", "1e3", "is no id"),
        ("INT64", "abc", "is no id"),
        ("INT64", "", "is no id"),
        ("INT64", "-", "is no id"),
        ("INT64", "٣", "is no id"),
        ("INT64", "²", "is no id"),
        ("INT64", "7\0", "is no id"),
        ("INT64", "99999999999999999999", "'99999999999999999999' is too large: the repo's key is a whole number of 64 bits"),
        ("INT64", str(2**63), "is too large"),
        ("INT64", str(-(2**63) - 1), "is too large"),
        ("INT64", "9" * 5000, "'99999999999999999999999999999999'... is too large"),
        ("INT64", "0" * 5000, "is no id"),
        ("INT32", str(2**31), "is too large: the repo's key is a whole number of 32 bits"),
        ("INT32", "01", "write '1'"),
    ],
)
def test_what_is_no_key_is_named(kind: str, text: str, problem: str) -> None:
    """With the value, and what to write."""
    assert problem in id_problem(kind, text)


def test_the_first_of_many_that_is_no_key_is_found() -> None:
    """Also behind one whose range had to be looked at."""
    assert first_problem("INT64", []) is None
    assert first_problem("INT64", ["7", str(2**63 - 1), str(-(2**63))]) is None
    assert first_problem("STRING", ["007", ""]) is None
    assert first_problem("INT64", ["7", str(2**63 - 1), "07", "x"]) == (2, id_problem("INT64", "07"))


def test_users_and_items_have_types_of_their_own() -> None:
    keys = KeyTypes(user="INT64")
    assert keys.fits("7", "sku-007")
    assert not keys.fits("u7", "sku-007")
    assert not keys.problem("item", "sku-007")
    assert "'u7' is no id" in keys.problem("user", "u7")
