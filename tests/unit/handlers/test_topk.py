"""The best of many scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from handlers import topk

SCORES = st.one_of(st.floats(-5, 5, width=32), st.sampled_from([-np.inf, 0.0, 1.0]))
TABLES = hnp.arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 120)), elements=SCORES, fill=st.nothing())


def top_k(table, k):
    return tuple(part.numpy() for part in topk.top_k(torch.from_numpy(table), k))


# Torch's selection, and the guessed bar that larger catalogues get.
WAYS = {"few": {}, "many": {"FEW": 0, "SAMPLE": 32}}


@pytest.mark.parametrize("way", WAYS)
@given(table=TABLES, share=st.floats(0.01, 1.0))
@settings(max_examples=60)
def test_the_best_are_those_of_a_full_sort(way, table, share):
    """Values are the sorted row's first k; columns are distinct and hold these values, whatever ties and -inf there are."""
    k = max(1, int(share * table.shape[1]))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in WAYS[way].items():
            patch.setattr(topk, name, value)
        columns, values = top_k(table, k)
    np.testing.assert_array_equal(values, -np.sort(-table, axis=1)[:, :k])
    np.testing.assert_array_equal(np.take_along_axis(table, columns, axis=1), values)
    assert all(len(set(row)) == k for row in columns.tolist())


@pytest.mark.parametrize(
    "scores", [np.sort(np.random.default_rng(0).normal(size=50_000)), np.zeros(50_000), np.arange(50_000)[::-1]]
)
def test_a_misleading_order_changes_nothing(scores):
    """Sorted, equal and falling scores of a large catalogue make the sample a bad guess, never a wrong answer."""
    table = scores.astype(np.float32)[None]
    _, values = top_k(table, 500)
    np.testing.assert_array_equal(values[0], -np.sort(-table[0])[:500])


def test_when_the_bar_was_too_high_everything_is_searched():
    """A sample that happens to hold the few best must not hide the next ones."""
    table = np.zeros((1, 4 * topk.SAMPLE), np.float32)
    table[0, ::4] = 1.0
    table[0, 1::4] = np.linspace(0.1, 0.9, topk.SAMPLE)
    k = topk.SAMPLE + 100
    _, values = top_k(table, k)
    np.testing.assert_array_equal(values[0], -np.sort(-table[0])[:k])
