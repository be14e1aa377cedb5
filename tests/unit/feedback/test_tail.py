"""The tail hands out every whole record of all segments once."""

from pathlib import Path

from banquet.feedback.events import encode
from banquet.feedback.tail import Tail
from tests.unit.feedback.fakes import make_event, write_segment


def read_all(tail: Tail, offsets: dict[str, int]) -> list[str]:
    ids = []
    while (batch := tail.read(offsets, 1)).offsets:
        offsets.update(batch.offsets)
        ids += [event.event_id for event in batch.events]
    return ids


def test_every_segment_is_followed(tmp_path: Path) -> None:
    """What was read is not read again; what is added is."""
    write_segment(tmp_path / "events-a-1.log", [make_event(1), make_event(2)])
    write_segment(tmp_path / "events-b-1.log", [make_event(3)])
    tail, offsets = Tail(tmp_path), {}
    assert read_all(tail, offsets) == ["e1", "e2", "e3"]
    write_segment(tmp_path / "events-a-1.log", [make_event(4)])
    write_segment(tmp_path / "events-c-1.log", [make_event(5)])
    assert sorted(read_all(tail, offsets)) == ["e4", "e5"]
    assert tail.backlog_bytes(offsets) == 0


def test_half_a_record_waits_for_its_other_half(tmp_path: Path) -> None:
    """A record on its way to the disk is neither lost nor called damaged."""
    path, record = tmp_path / "events-a-1.log", encode(make_event(1))
    path.write_bytes(record[:-1])
    tail, offsets = Tail(tmp_path), {}
    assert read_all(tail, offsets) == []
    path.write_bytes(record)
    assert read_all(tail, offsets) == ["e1"]


def test_no_segment_waits_for_ever(tmp_path: Path) -> None:
    """A busy segment takes turns with the others."""
    for name in ("a", "b", "c"):
        write_segment(tmp_path / f"events-{name}-1.log", [make_event(1)])
    tail, offsets, served = Tail(tmp_path), {}, []
    for _ in range(3):
        batch = tail.read(offsets, 1)
        served += batch.offsets
        offsets.update(batch.offsets)
        write_segment(tmp_path / "events-a-1.log", [make_event(2)])
    assert served == ["events-a-1.log", "events-b-1.log", "events-c-1.log"]


def test_damage_is_counted_and_passed_over(tmp_path: Path) -> None:
    """The records around it arrive."""
    path = tmp_path / "events-a-1.log"
    write_segment(path, [make_event(1)])
    path.write_bytes(path.read_bytes() + b"ruin\n")
    write_segment(path, [make_event(2)])
    batch = Tail(tmp_path).read({}, 10)
    assert ([event.event_id for event in batch.events], batch.damaged) == (["e1", "e2"], 1)


def test_a_record_longer_than_a_chunk_is_read(tmp_path: Path) -> None:
    """Its size does not hold up what follows."""
    write_segment(tmp_path / "events-a-1.log", [make_event(1, user="u" * 700_000), make_event(2)])
    assert read_all(Tail(tmp_path), {}) == ["e1", "e2"]


def test_a_sealed_segment_is_looked_at_no_more_once_read(tmp_path: Path) -> None:
    """Years of segments cost nothing per poll."""
    path = tmp_path / "events-a-1.log"
    write_segment(path, [make_event(1)])
    path.chmod(0o444)
    tail, offsets = Tail(tmp_path), {}
    read_all(tail, offsets)
    assert tail._in_turn() == []
