"""Which items were written through Banquet."""

from __future__ import annotations

import threading

from banquet.wire import changed_items
from banquet.wire.changed_items import ChangedItems, Offset


def test_what_was_added_is_taken_once(tmp_path):
    """From an offset on, by any id."""
    changed = ChangedItems(tmp_path / "catalogue")
    assert changed.take(Offset()).items == frozenset()
    changed.add(["a", "zoë\n☃"])
    first = changed.take(Offset())
    assert first.items == {"a", "zoë\n☃"}
    changed.add(["b"])
    second = changed.take(first.offset)
    assert (second.items, second.lost) == ({"b"}, False)
    assert changed.take(second.offset).items == frozenset()
    assert changed.take(changed.end()).items == frozenset()


def test_half_a_line_waits_for_its_rest(tmp_path):
    """A writer may be at it."""
    changed = ChangedItems(tmp_path)
    changed.add(["a"])
    with (tmp_path / changed_items.FILE).open("ab") as file:
        file.write(b'"b')
        file.flush()
        taken = changed.take(Offset())
        assert taken.items == {"a"}
        file.write(b'"\n')
    assert changed.take(taken.offset).items == {"b"}


def test_a_file_that_was_begun_anew_is_read_from_its_start(tmp_path, monkeypatch):
    """It does not grow for ever; whoever missed its end is told so."""
    monkeypatch.setattr(changed_items, "LARGE_BYTES", 10)
    changed = ChangedItems(tmp_path)
    changed.add(["a", "b", "c"])
    offset = changed.take(Offset()).offset
    changed.add(["d"])
    taken = changed.take(offset)
    assert (taken.items, taken.lost) == ({"d"}, True)


def test_a_damaged_file_says_that_something_is_lost(tmp_path):
    """And goes on after it."""
    changed = ChangedItems(tmp_path)
    (tmp_path / changed_items.FILE).write_bytes(b"name\ngarbage\n")
    taken = changed.take(Offset())
    assert taken.lost
    changed.add(["a"])
    assert changed.take(taken.offset).items == {"a"}


def test_many_writers_lose_nothing(tmp_path, monkeypatch):
    """While the file is begun anew again and again, a reader gets each id or is told that it may have missed some."""
    monkeypatch.setattr(changed_items, "LARGE_BYTES", 2000)
    changed = ChangedItems(tmp_path)
    changed.add(["first"])
    # From here on it knows what it misses.
    offset = changed.end()
    writers = [
        threading.Thread(target=lambda writer=writer: [ChangedItems(tmp_path).add([f"{writer}-{k}"]) for k in range(100)])
        for writer in range(4)
    ]
    for writer in writers:
        writer.start()
    seen, lost = set(), False
    while any(writer.is_alive() for writer in writers):
        taken = changed.take(offset)
        seen, lost, offset = seen | taken.items, lost or taken.lost, taken.offset
    taken = changed.take(offset)
    assert lost or taken.lost or len(seen | taken.items) == 400
