"""Counts the features of known users for which the schema's default stood in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter

if TYPE_CHECKING:
    from banquet.core.stages import Answer
    from banquet.wire.schema import FeatureSchema

USED = Counter("banquet_feature_defaults_total", "Features of known users that were missing.", ["view", "feature"])


class UserDefaults:
    """By view and feature, over all answers. Users whom no view knows are counted as degradations instead."""

    name = "user_defaults"

    def __init__(self, schema: FeatureSchema) -> None:
        self._schema = schema
        # All there from the start: a feature that never was missing shows a zero.
        self._used = {feature.name: USED.labels(feature.view, feature.name) for feature in schema.user}

    def take(self, answer: Answer) -> None:
        user = answer.query.user
        if user.found:
            for feature in self._schema.user_gaps(user.values):
                self._used[feature.name].inc()
