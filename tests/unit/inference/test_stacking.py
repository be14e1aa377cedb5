"""Stacking and splitting: an answer does not depend on who else was in the job."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from banquet.inference.stacking import split, stack

rows = st.lists(st.integers(0, 2**31 - 1), max_size=6)
floats = st.lists(st.floats(-1e6, 1e6, width=32), max_size=6)
queries = st.lists(
    st.fixed_dictionaries(
        {
            "history": rows.map(lambda values: np.array(values, np.int32)),
            "seen": rows.map(lambda values: np.array(values, np.int32)),
            "user_numbers": floats.map(lambda values: np.array(values, np.float32)),
        }
    ),
    min_size=1,
    max_size=5,
)


@given(queries)
def test_stacking_keeps_every_value_and_pads_where_agreed(jobs):
    """History ends with the newest item in the last column; everything else begins in the first; types stay."""
    stacked = stack(jobs)
    for name, pad in (("history", -1), ("seen", -1), ("user_numbers", 0)):
        width = max(len(job[name]) for job in jobs)
        assert stacked[name].shape == (len(jobs), width)
        assert stacked[name].dtype == jobs[0][name].dtype
        for line, job in zip(stacked[name], jobs, strict=True):
            size = len(job[name])
            kept, padding = (line[width - size :], line[: width - size]) if name == "history" else (line[:size], line[size:])
            assert kept.tolist() == job[name].tolist()
            assert (padding == pad).all()


@given(st.lists(rows, min_size=1, max_size=5), st.integers(0, 3))
def test_found_rows_come_back_without_padding_and_in_step_with_their_scores(found, extra):
    """However wide the job was, a query gets what it would have got alone."""
    width = max(map(len, found)) + extra
    stacked = np.array([line + [-1] * (width - len(line)) for line in found], np.int32).reshape(len(found), width)
    answers = {"rows": stacked, "scores": stacked.astype(np.float32), "user_vector": np.ones((len(found), 4), np.float32)}
    for share, line in zip(split(answers, [{}] * len(found)), found, strict=True):
        assert share["rows"].tolist() == line
        assert share["scores"].tolist() == np.array(line, np.float32).tolist()
        assert share["user_vector"].shape == (4,)


@given(st.lists(rows, min_size=1, max_size=5))
def test_ranking_scores_are_as_many_as_the_rows_asked_about(asked):
    """Padding to the longest candidate list is cut off again."""
    jobs = [{"rows": np.array(line, np.int32)} for line in asked]
    width = max(map(len, asked))
    scores = np.tile(np.arange(width, dtype=np.float32), (len(asked), 1))
    shares = split({"scores": scores}, jobs)
    assert [share["scores"].tolist() for share in shares] == [list(map(float, range(len(line)))) for line in asked]


def test_an_answer_for_another_number_of_queries_is_refused():
    """A model that lost a query must not give one user the items of another."""
    with pytest.raises(ValueError, match="scores"):
        split({"scores": np.zeros((3, 2), np.float32)}, [{}, {}])


def test_minus_one_inside_the_rows_is_not_padding():
    """Only what trails is cut."""
    [share] = split({"rows": np.array([[4, -1, 7, -1]], np.int32)}, [{}])
    assert share["rows"].tolist() == [4, -1, 7]
