"""Requests to forget people are durable, and name them only while needed."""

from pathlib import Path

import pytest

from banquet.core.erasure import ErasedPlace
from banquet.core.errors import Overloaded
from banquet.feedback.erasures import ErasureBook


def test_a_request_is_there_for_whoever_opens_the_book_next(tmp_path: Path) -> None:
    """Another process finds it, in the order of asking; asking again joins it."""
    erasure = ErasureBook(tmp_path / "book").request("ada")
    other = ErasureBook(tmp_path / "book")
    other.request("bob")
    assert other.request("ada") == erasure
    assert [wanted.user_id for wanted in other.pending()] == ["ada", "bob"]
    assert other.find(erasure.erasure_id) == erasure


def test_a_done_one_is_remembered_without_the_person(tmp_path: Path) -> None:
    """What was removed can be asked for; who it was is nowhere any more, and may be forgotten again."""
    # Not to be found in the hexadecimal digits of another id.
    book = ErasureBook(tmp_path)
    book.request("zoe")
    (wanted,) = book.pending()
    erasure = wanted.erasure.noted(ErasedPlace("events", 3, 1)).noted(ErasedPlace("events", 1, 0))
    done = type(erasure)(erasure.erasure_id, done=True, places=erasure.places)
    book.note(wanted, done)
    assert book.find(done.erasure_id) == done
    assert done.places == (ErasedPlace("events", 4, 0),)
    assert not list(book.pending())
    assert not any(b"zoe" in path.read_bytes() for path in tmp_path.iterdir())
    assert book.request("zoe").erasure_id != done.erasure_id


def test_an_id_that_was_never_given_is_unknown(tmp_path: Path) -> None:
    """Also one that would be a path."""
    book = ErasureBook(tmp_path)
    (tmp_path / "secret.done").write_text("{}")
    assert book.find("../secret") is None
    assert book.find("0" * 32) is None


def test_a_disk_that_refuses_is_said_to_the_caller(tmp_path: Path) -> None:
    """Nothing was promised then."""
    (tmp_path / "book").write_text("a file in its place")
    with pytest.raises(Overloaded, match="cannot be kept"):
        ErasureBook(tmp_path / "book").request("ada")


def test_one_process_carries_them_out(tmp_path: Path) -> None:
    """The next one when it has ended."""
    first, second = ErasureBook(tmp_path), ErasureBook(tmp_path)
    assert first.is_ours()
    assert first.is_ours()
    assert not second.is_ours()
    del first
    assert second.is_ours()
