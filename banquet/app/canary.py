"""The canary: a small job that every working model answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from banquet.core.stages import ModelJob
from banquet.releases.manifest import load
from banquet.wire.manifest_file import ITEMS
from banquet.wire.tensors import unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from banquet.wire.schema import FeatureSchema

PATIENCE_S = 2.0
INPUTS = {
    "retrieval": ("history", "seen", "limit"),
    "ranking": ("history", "user_categories", "user_numbers", "user_vector", "rows"),
    "cascade": ("history", "seen", "limit", "user_categories", "user_numbers"),
}


def canary_job(model: str, catalogue: str, schema: FeatureSchema, vector_size: int) -> ModelJob:
    """The catalogue's first item as history, a user of defaults."""
    user = schema.encode_user({})
    first = np.zeros(1, np.int32)
    everything = {
        "history": first,
        "seen": first,
        "limit": np.array([2], np.int32),
        "user_categories": user.categories,
        "user_numbers": user.numbers,
        "user_vector": np.zeros(vector_size, np.float32),
        "rows": first,
    }
    return ModelJob(model, catalogue, {name: everything[name] for name in INPUTS[model]})


def canaries_of(release: Path) -> Callable[[str, str], ModelJob]:
    """Makes the jobs of a release by model and catalogue version. Reads the release's item vectors for their size."""
    schema = load(release).schema
    size = unpack((release / ITEMS).read_bytes())[0]["vectors"].shape[1]
    return lambda model, catalogue: canary_job(model, catalogue, schema, size)
