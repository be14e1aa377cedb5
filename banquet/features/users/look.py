"""Reads one user as the gateway would, for someone who wants to see."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from banquet.core.errors import BadSettings, StageFailed
from banquet.features.project.key_types import key_types_of
from banquet.features.project.layout_keeper import LayoutKeeper
from banquet.features.project.repo import FeatureRepo
from banquet.features.stores.local_times import noted_zone
from banquet.features.users.opening import open_user_reader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from banquet.core.query import UserFeatures

# On-demand views import Feast first.
PATIENCE_S = 120.0


def look_up(
    repo: Path, yaml: Path | None, catalogue: Path, user_id: str, context: Sequence[str], *, strict: bool
) -> UserFeatures:
    """The user's row; `context` holds texts `name=value`. Raises `BadSettings` naming what is wrong."""
    values = {}
    for pair in context:
        name, separator, value = pair.partition("=")
        if not separator:
            raise BadSettings(f"context {pair!r}: write name=value")
        values[name] = value
    described = FeatureRepo.open(repo, yaml)
    layouts = LayoutKeeper(described, catalogue)
    try:
        if problem := key_types_of(layouts.current()).problem("user", user_id):
            raise BadSettings(f"user {problem}")
        return asyncio.run(_read(described, catalogue, user_id, values, strict=strict))
    except StageFailed as error:
        raise BadSettings(f"user {user_id!r} cannot be read: {error}") from error
    finally:
        layouts.close()


async def _read(repo: FeatureRepo, catalogue: Path, user_id: str, context: dict[str, str], *, strict: bool) -> UserFeatures:
    zone = noted_zone(catalogue)
    reader = open_user_reader(repo, catalogue, PATIENCE_S, "strict" if strict else "feast", zone=zone)
    try:
        return await reader.read(user_id, context)
    finally:
        await reader.aclose()
