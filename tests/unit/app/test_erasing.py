"""Erasures are carried out until nothing is left, whatever happens on the way."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from banquet.app.erasing import keep_erasing
from banquet.core.erasure import ErasedPlace, Erasure
from banquet.core.errors import StageFailed
from banquet.core.evaluation_users import EVERY_EVALUATION_USER
from banquet.feedback.erasures import ErasureBook


@dataclass
class Drawer:
    """A place with some things of everybody in it; `stuck` ones stay at first, `failures` times it cannot be opened."""

    name: str
    held: int = 2
    stuck: int = 0
    failures: int = 0
    asked: list[str] = field(default_factory=list)

    def erase(self, user_id: str) -> int:
        self.asked.append(user_id)
        if self.failures:
            self.failures -= 1
            raise StageFailed("unavailable", "no store")
        removed, self.held, self.stuck = self.held - self.stuck, self.stuck, 0
        return removed

    def count(self, user_id: str) -> int:
        return self.held


@contextmanager
def eraser(book: ErasureBook, *places: Drawer) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=keep_erasing, args=(book, places, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def until_done(book: ErasureBook, erasure: Erasure) -> Erasure:
    began_s = time.monotonic()
    while time.monotonic() - began_s < 5:
        found = book.find(erasure.erasure_id)
        if found is not None and found.done:
            return found
        time.sleep(0.01)
    raise AssertionError(book.find(erasure.erasure_id))


def test_every_place_is_cleared_and_scanned(tmp_path: Path) -> None:
    """The answer lists what was removed where, and that nothing was left."""
    book = ErasureBook(tmp_path)
    with eraser(ErasureBook(tmp_path), Drawer("events", 3), Drawer("served_log", 0)):
        done = until_done(book, book.request("ada"))
    assert done.places == (ErasedPlace("events", 3, 0), ErasedPlace("served_log", 0, 0))


def test_what_fails_is_tried_again(tmp_path: Path) -> None:
    """The whole of it, until every place could be reached; what was removed before is not forgotten."""
    book = ErasureBook(tmp_path)
    with eraser(ErasureBook(tmp_path), events := Drawer("events", 3), online := Drawer("online_store", failures=1)):
        done = until_done(book, book.request("ada"))
    assert done.places == (ErasedPlace("events", 3, 0), ErasedPlace("online_store", 2, 0))
    assert len(events.asked) == len(online.asked) == 2


def test_what_is_left_is_removed_by_another_try(tmp_path: Path) -> None:
    """And counted once."""
    book = ErasureBook(tmp_path)
    with eraser(ErasureBook(tmp_path), drawer := Drawer("served_log", 3, stuck=1)):
        done = until_done(book, book.request("ada"))
    assert done.places == (ErasedPlace("served_log", 3, 0),)
    assert len(drawer.asked) == 2


def test_a_request_outlives_the_eraser(tmp_path: Path) -> None:
    """Asked for while nobody is there, or left half done: the next one carries it out."""
    erasure = ErasureBook(tmp_path).request("ada")
    with eraser(ErasureBook(tmp_path), Drawer("events")):
        assert until_done(ErasureBook(tmp_path), erasure).places == (ErasedPlace("events", 2, 0),)


def test_a_place_that_another_one_clears_says_what_was_there(tmp_path: Path) -> None:
    """As the online store, which the consumer clears as soon as the events are."""
    book, stores = ErasureBook(tmp_path), Drawer("online_store", 4)

    class Events(Drawer):
        def erase(self, user_id: str) -> int:
            stores.held = 0
            return super().erase(user_id)

    with eraser(ErasureBook(tmp_path), Events("events"), stores):
        done = until_done(book, book.request("ada"))
    assert done.places == (ErasedPlace("events", 2, 0), ErasedPlace("online_store", 4, 0))


def test_evaluation_users_are_looked_for_where_they_can_be(tmp_path: Path) -> None:
    """Nobody rewrites files that never had them."""
    book = ErasureBook(tmp_path)
    served = Drawer("served_log")
    with eraser(ErasureBook(tmp_path), Drawer("events", 3), served, Drawer("online_store", 2)):
        done = until_done(book, book.request(EVERY_EVALUATION_USER))
    assert done.places == (ErasedPlace("events", 3, 0), ErasedPlace("online_store", 2, 0))
    assert served.asked == []
