"""When a candidate does so much worse than the stable release that it must go, in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from banquet.releases.tally import Tally

# The verdict is looked at again and again, so a rate must stand out further than one look would ask for: in standard errors.
CERTAIN = 3.5


@dataclass(frozen=True, slots=True)
class Limits:
    """How much worse a candidate may be.

    Nothing is said of fewer than `min_queries` queries of it, nor of clicks before both have `min_impressions`. Rates are shares,
    0 to 1. `click_p` is how unlikely a lower click-through must be if the releases were equally good.
    """

    min_queries: int = 300
    error_rise: float = 0.005
    degradation_rise: float = 0.02
    p99_ratio: float = 1.5
    p99_slack_ms: float = 20.0
    min_impressions: int = 1000
    click_p: float = 1e-5


def complaint(candidate: Tally, stable: Tally, limits: Limits, *, shadow: bool = False) -> str:
    """Why the candidate must go; empty while it may stay.

    A shadow is asked when there is time for it, so its latency says nothing; nor do clicks on what it never showed.
    """
    if candidate.queries < limits.min_queries:
        return ""
    rates = (
        ("error rate", candidate.errors, candidate.queries, stable.errors, stable.queries, limits.error_rise),
        ("degradation rate", candidate.degraded, candidate.queries, stable.degraded, stable.queries, limits.degradation_rise),
    )
    for name, bad, n, stable_bad, stable_n, rise in rates:
        if certainly_above(bad, n, stable_bad, stable_n, rise):
            stable_rate = stable_bad / max(stable_n, 1)
            return f"{name} {bad / n:.2%} of {n} queries; stable: {stable_rate:.2%} of {stable_n}, allowed: {rise:.2%} more"
    if shadow:
        return ""
    return _slower(candidate, stable, limits) or _less_clicked(candidate, stable, limits)


def certainly_above(bad: int, n: int, stable_bad: int, stable_n: int, rise: float) -> bool:
    """Whether the share `bad / n` is more than `rise` above `stable_bad / stable_n`, by `CERTAIN` standard errors.

    Each share is smoothed by one draw of either kind, so that none of few draws counts as certain. Of no draws the share is 0.
    """
    shares = [((bad + 1) / (n + 2), n + 2), ((stable_bad + 1) / (stable_n + 2), stable_n + 2)]
    error = math.sqrt(sum(share * (1 - share) / draws for share, draws in (shares if stable_n else shares[:1])))
    return bad / n - stable_bad / max(stable_n, 1) - rise > CERTAIN * error


def less_likely(few: int, few_of: int, many: int, many_of: int) -> float:
    """How likely shares at least so far apart are, `few / few_of` below `many / many_of`, if both were drawn from one.

    The one-sided test of two proportions with the pooled variance; 1 while one of them has no draws.
    """
    if not few_of or not many_of:
        return 1.0
    pooled = (few + many) / (few_of + many_of)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / few_of + 1 / many_of))
    if not spread:
        return 1.0
    return 0.5 * math.erfc((many / many_of - few / few_of) / spread / math.sqrt(2))


def _slower(candidate: Tally, stable: Tally, limits: Limits) -> str:
    if stable.queries < limits.min_queries:
        return ""
    p99_ms, stable_p99_ms = candidate.percentile_ms(99), stable.percentile_ms(99)
    allowed_ms = stable_p99_ms * limits.p99_ratio + limits.p99_slack_ms
    if p99_ms <= allowed_ms:
        return ""
    return f"p99 {p99_ms:.0f} ms over {candidate.answers} answers; stable: {stable_p99_ms:.0f} ms, allowed: {allowed_ms:.0f} ms"


def _less_clicked(candidate: Tally, stable: Tally, limits: Limits) -> str:
    if min(candidate.impressions, stable.impressions) < limits.min_impressions:
        return ""
    p = less_likely(candidate.clicks, candidate.impressions, stable.clicks, stable.impressions)
    if p >= limits.click_p:
        return ""
    rates = [tally.clicks / tally.impressions for tally in (candidate, stable)]
    return (
        f"click-through {rates[0]:.2%} of {candidate.impressions} impressions; stable: {rates[1]:.2%} of {stable.impressions} "
        f"(p = {p:.1e}, allowed: {limits.click_p:.0e})"
    )
