"""Log files stay within bounds while they are written."""

from pathlib import Path

from banquet.app.rotation import rotate


def test_a_full_file_is_begun_anew_under_its_writer(tmp_path: Path) -> None:
    """The writer goes on at the start of the emptied file; the earlier ones move on, and the oldest goes."""
    file = tmp_path / "child.log"
    with file.open("a") as child:
        for number in range(5):
            assert not rotate(file, 10, 2)
            child.write(f"line {number}: long\n")
            child.flush()
            assert rotate(file, 10, 2)
        child.write("last")
    assert file.read_text() == "last"
    assert [path.read_text() for path in sorted(tmp_path.glob("child.log.*"))] == ["line 4: long\n", "line 3: long\n"]


def test_a_file_that_is_not_there_is_left_alone(tmp_path: Path) -> None:
    """A child that never started."""
    assert not rotate(tmp_path / "none.log", 10, 2)
