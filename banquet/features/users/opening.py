"""Opens the reader that fits the online store of a Feast repo."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from banquet.features.project.layout import LayoutFile
from banquet.features.project.repo import RedisStore, SqliteStore
from banquet.features.users.guarded import GuardedUsers
from banquet.features.users.joined import JoinedUserReader
from banquet.features.users.stored import StoredUsers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo
    from pathlib import Path

    from banquet.features.project.repo import FeatureRepo
    from banquet.features.stores.cells import CellStore
    from banquet.features.users.computed import ComputedUsers
    from banquet.features.users.rows import Mode


def open_user_reader(
    repo: FeatureRepo,
    catalogue: Path,
    patience_s: float = 1.0,
    mode: Mode = "feast",
    defaults: Mapping[str, str] | None = None,
    zone: tzinfo | None = None,
) -> JoinedUserReader:
    """A reader of users by the layout that the catalogue builder publishes in the folder `catalogue`.

    SQLite and Redis are read directly. Any other store, and on-demand views, take Feast: seconds and 180 MB to import.
    In mode `strict` values older than their view's ttl are left out. `defaults` are parts of keys and request data that a
    query's context does not give. A store that takes longer than `patience_s`, or fails, a few times in a row is left in peace
    until it answers a canary. `zone` is that of whoever writes to a SQLite store, by default this process's own.
    """
    users = StoredUsers(open_cells(repo, zone), LayoutFile(catalogue), mode, defaults, partial(_open_computed, repo))
    return JoinedUserReader(GuardedUsers(users, patience_s))


def open_cells(repo: FeatureRepo, zone: tzinfo | None = None) -> CellStore:
    """The repo's online store; `zone` as in `open_user_reader`."""
    # Imported here: redis is an extra, and Feast is heavy.
    match repo.store:
        case SqliteStore(file):
            from banquet.features.stores.sqlite import SqliteCells  # noqa: PLC0415

            return SqliteCells(file, zone=zone)
        case RedisStore(options):
            from banquet.features.stores.redis import RedisCells  # noqa: PLC0415

            return RedisCells(options)
        case _:
            from banquet.features.stores.generic import FeastCells  # noqa: PLC0415

            return FeastCells(repo)


def _open_computed(repo: FeatureRepo) -> ComputedUsers:
    from banquet.features.users.computed import ComputedUsers  # noqa: PLC0415

    return ComputedUsers(repo)
