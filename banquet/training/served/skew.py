"""Where what the models got differs from what Feast would train on: feature by feature, with counts and examples."""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose, isnan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

EXAMPLES = 3
# Stores keep float32, and whole numbers beside nulls come back from pandas as floats.
CLOSE = 1e-6


@dataclass(frozen=True, slots=True)
class Example:
    """One value that differs. `id` is a user or an item, `at` the answer's time in ISO format."""

    id: str
    at: str
    request_id: str
    served: object
    historical: object


@dataclass(frozen=True, slots=True)
class FeatureSkew:
    """How a feature fared: of `compared` values so many are `different`, `only_served` or `only_historical`."""

    entity: str
    feature: str
    compared: int
    different: int
    only_served: int
    only_historical: int
    examples: tuple[Example, ...]

    @property
    def skewed(self) -> int:
        return self.different + self.only_served + self.only_historical


def compare(
    entity: str, served: Mapping[str, Sequence[object]], historical: pa.Table, who: Sequence[tuple[str, str, str]]
) -> list[FeatureSkew]:
    """Every feature that both have, worst first. `who` has id, time and request of each row."""
    both = [name for name in historical.column_names if name in served]
    found = [_feature(entity, name, served[name], historical[name].to_pylist(), who) for name in both]
    return sorted(found, key=lambda skew: (-skew.skewed, skew.feature))


def _feature(
    entity: str, name: str, served: Sequence[object], historical: Sequence[object], who: Sequence[tuple[str, str, str]]
) -> FeatureSkew:
    counts = {"different": 0, "only_served": 0, "only_historical": 0}
    examples: list[Example] = []
    for key, ours, theirs in zip(who, served, historical, strict=True):
        kind = _kind(ours, theirs)
        if kind:
            counts[kind] += 1
            if len(examples) < EXAMPLES:
                examples.append(Example(*key, ours, theirs))
    return FeatureSkew(entity, name, len(who), **counts, examples=tuple(examples))


def _kind(served: object, historical: object) -> str:
    """How two values differ, empty when they do not. No value, NaN and an empty list are the same: stores mix them up."""
    if _nothing(served) or _nothing(historical):
        return "" if _nothing(served) and _nothing(historical) else "only_historical" if _nothing(served) else "only_served"
    return "" if _same(served, historical) else "different"


def _nothing(value: object) -> bool:
    return value is None or (isinstance(value, float) and isnan(value)) or (isinstance(value, list) and not value)


def _same(one: object, other: object) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, float) or isinstance(other, float):
        return isinstance(one, (int, float)) and isinstance(other, (int, float)) and isclose(one, other, rel_tol=CLOSE)
    return one == other
