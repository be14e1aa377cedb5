"""Notes of what keeps layout and catalogue from being kept up."""

from __future__ import annotations

from banquet.features.problems import note_problem, noted_problems


def test_notes_stay_until_they_are_taken_away(tmp_path):
    """Each part has its own; without any there is nothing to say."""
    folder = tmp_path / "catalogue"
    assert noted_problems(folder) == {}
    note_problem(folder, "catalogue", "")
    note_problem(folder, "layout", "no entity 'item'")
    note_problem(folder, "catalogue", "the store is locked")
    assert noted_problems(folder) == {"layout": "no entity 'item'", "catalogue": "the store is locked"}
    note_problem(folder, "layout", "")
    assert noted_problems(folder) == {"catalogue": "the store is locked"}


def test_a_note_that_cannot_be_written_stops_nobody(tmp_path, caplog):
    """It is in the log instead."""
    (tmp_path / "file").touch()
    note_problem(tmp_path / "file", "layout", "no entity 'item'")
    assert "no note of what is wrong with the layout" in caplog.text
