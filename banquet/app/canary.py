"""The canary: a small job that every working model answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from banquet.core.stages import ModelJob
from banquet.releases.manifest import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from banquet.wire.schema import FeatureSchema

PATIENCE_S = 2.0
INPUTS = {
    "retrieval": ("history", "seen", "limit"),
    "ranking": ("history", "user_categories", "user_numbers", "rows"),
    "cascade": ("history", "seen", "limit", "user_categories", "user_numbers"),
}


def canary_job(model: str, catalogue: str, schema: FeatureSchema) -> ModelJob:
    """The catalogue's first item as history, a user of defaults."""
    user = schema.encode_user({})
    first = np.zeros(1, np.int32)
    everything = {
        "history": first,
        "seen": first,
        "limit": np.array([2], np.int32),
        "user_categories": user.categories,
        "user_numbers": user.numbers,
        "rows": first,
    }
    return ModelJob(model, catalogue, {name: everything[name] for name in INPUTS[model]})


def canaries_of(release: Path) -> Callable[[str, str], ModelJob]:
    """Makes the jobs of a release by model and catalogue version."""
    schema = load(release).schema
    return lambda model, catalogue: canary_job(model, catalogue, schema)
