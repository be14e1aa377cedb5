"""Segments: live ones belong to their writer, those of the dead are mended and sealed."""

from pathlib import Path

from banquet.feedback.events import encode
from banquet.feedback.segments import Segment, is_sealed, new_writer, seal_orphans, segment_names
from tests.unit.feedback.fakes import make_event


def test_an_orphan_loses_its_torn_record_and_is_sealed(tmp_path: Path) -> None:
    """What a dead process had only half written was never acknowledged."""
    path, whole = tmp_path / "events-dead-000001.log", encode(make_event(1))
    path.write_bytes(whole + encode(make_event(2))[:-5])
    assert seal_orphans(tmp_path) == len(encode(make_event(2))) - 5
    assert path.read_bytes() == whole
    assert is_sealed(path.stat())


def test_an_orphan_of_one_torn_record_is_emptied(tmp_path: Path) -> None:
    """However long that record is."""
    path = tmp_path / "events-dead-000001.log"
    path.write_bytes(b"x" * 200_000)
    assert seal_orphans(tmp_path) == 200_000
    assert path.stat().st_size == 0


def test_a_live_segment_is_left_alone(tmp_path: Path) -> None:
    """Another process may be in the middle of a record."""
    segment = Segment(tmp_path, new_writer(), 1)
    segment.append(b"half a reco")
    assert seal_orphans(tmp_path) == 0
    [name] = segment_names(tmp_path)
    assert (tmp_path / name).read_bytes() == b"half a reco"
    assert not is_sealed((tmp_path / name).stat())
    segment.seal()


def test_sealing_keeps_whole_records(tmp_path: Path) -> None:
    """A reader may have taken them already, so they stay even when nobody was told that they are durable."""
    segment = Segment(tmp_path, new_writer(), 1)
    segment.append(b"whole\nhalf")
    segment.seal()
    [name] = segment_names(tmp_path)
    assert (tmp_path / name).read_bytes() == b"whole\n"
    assert is_sealed((tmp_path / name).stat())


def test_an_empty_segment_leaves_no_file(tmp_path: Path) -> None:
    """Thousands of failed attempts on a full disk litter nothing."""
    Segment(tmp_path, new_writer(), 1).seal()
    assert list(tmp_path.iterdir()) == []
