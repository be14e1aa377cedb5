"""When a candidate must go, and when it may stay."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from banquet.releases.guardrails import Limits, complaint, less_likely
from banquet.releases.tally import BOUNDS_MS, Tally, added

LIMITS = Limits()


def tally(answers=1000, errors=0, degraded=0, impressions=0, clicks=0, slow=0, quick_ms=10.0, slow_ms=500.0):
    told = Tally(errors=errors, impressions=impressions, clicks=clicks)
    for number in range(answers):
        told.answered(slow_ms if number < slow else quick_ms, degraded=number < degraded)
    return told


GOOD = tally(answers=5000)


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (tally(errors=50), "error rate 4.76% of 1050 queries; stable: 0.00% of 5000"),
        (tally(degraded=80), "degradation rate 8.00%"),
        (tally(slow=20), "p99 .* ms over 1000 answers; stable: .* ms, allowed"),
    ],
)
def test_a_candidate_that_does_worse_must_go(candidate, words):
    """The complaint has both numbers and what is allowed."""
    assert re.search(words, complaint(candidate, GOOD, LIMITS))


@pytest.mark.parametrize(
    "candidate",
    [
        tally(answers=200, errors=90),
        tally(errors=4),
        tally(answers=400, degraded=9),
        tally(slow=9),
        tally(quick_ms=24.0),
        tally(impressions=900, clicks=0),
    ],
    ids=[
        "too few",
        "hardly any errors",
        "not certain",
        "less than one in a hundred",
        "within the slack",
        "few impressions",
    ],
)
def test_what_may_be_chance_or_is_allowed_stays(candidate):
    """Nothing is said of few queries, nor of small differences."""
    assert complaint(candidate, tally(answers=5000, impressions=9000, clicks=900), LIMITS) == ""


def test_what_both_suffer_from_is_not_the_candidates_fault():
    """When the store is down, say, both are degraded."""
    assert (
        complaint(tally(errors=50, degraded=500, slow=100), tally(answers=5000, errors=240, degraded=2500, slow=500), LIMITS)
        == ""
    )


def test_clicks_count_once_they_are_significant():
    """A third fewer clicks is seen in tens of thousands of impressions, not in a thousand."""
    few = complaint(tally(impressions=1000, clicks=70), tally(impressions=1000, clicks=100), LIMITS)
    many = complaint(tally(impressions=20_000, clicks=1400), tally(impressions=20_000, clicks=2000), LIMITS)
    assert few == ""
    assert many.startswith("click-through 7.00% of 20000 impressions; stable: 10.00% of 20000")


def test_a_shadow_answers_for_errors_alone():
    """It is asked when there is time, and shows nothing that could be clicked."""
    lazy = tally(slow=500, impressions=20_000, clicks=0)
    stable = tally(answers=5000, impressions=20_000, clicks=2000)
    assert complaint(lazy, stable, LIMITS, shadow=True) == ""
    assert "error rate" in complaint(tally(errors=50), stable, LIMITS, shadow=True)


def test_equally_good_releases_stay_though_they_are_looked_at_again_and_again():
    """A hundred rollouts with a look per 100 queries: none is rolled back by chance."""
    draw = random.Random(7)
    for _ in range(100):
        candidate, stable = Tally(), Tally()
        for _ in range(40):
            for told, queries in ((candidate, 100), (stable, 400)):
                bad = sum(draw.random() < 0.03 for _ in range(queries))
                told.answers += queries
                told.degraded += bad
                told.impressions += queries
                told.clicks += sum(draw.random() < 0.1 for _ in range(queries))
            assert complaint(candidate, stable, LIMITS) == ""


@given(st.integers(1, 5000), st.integers(1, 5000), st.data())
def test_the_test_of_two_proportions_is_the_textbooks(n, m, data):
    """Half of scipy's two-sided chi-squared test where the shares differ in the direction asked about."""
    a, b = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    if a + b in (0, n + m):
        assert less_likely(a, n, b, m) == 1.0
        return
    both = chi2_contingency([[a, n - a], [b, m - b]], correction=False).pvalue / 2
    assert less_likely(a, n, b, m) == pytest.approx(both if b / m >= a / n else 1 - both, abs=1e-9)


@given(st.lists(st.floats(0, 5000), min_size=1, max_size=300), st.floats(1, 100))
def test_a_percentile_is_the_true_one_rounded_up_by_a_fifth_at_most(latencies_ms, percent):
    """Within the bounds that are counted."""
    told = Tally()
    for latency_ms in latencies_ms:
        told.answered(latency_ms, degraded=False)
    ordered = sorted(latencies_ms)
    true_ms = ordered[max(0, -int(-percent * len(ordered) // 100) - 1)]
    assert true_ms <= told.percentile_ms(percent) <= max(true_ms * 1.2, BOUNDS_MS[0])


def test_tallies_of_gateways_add_up():
    """Counts and latencies; through the file and back."""
    parts = [tally(10, 1, 2, 30, 4), tally(20, 2, 3, 40, 5, slow=20)]
    total = added(Tally.from_json(part.to_json()) for part in parts)
    assert (total.answers, total.errors, total.degraded, total.impressions, total.clicks) == (30, 3, 5, 70, 9)
    assert total.percentile_ms(30) < 20 < total.percentile_ms(50)
    assert added([]).percentile_ms(99) == 0.0


def test_a_tally_of_another_banquet_is_refused():
    """Other bounds would be other latencies."""
    with pytest.raises(ValueError, match="latencies"):
        Tally.from_json(Tally().to_json() | {"latencies": [1, 2]})
