"""Opens the reader that fits the online store of a Feast repo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banquet.features.guarded import GuardedUsers
from banquet.features.joined import JoinedUserReader
from banquet.features.layout import LayoutFile
from banquet.features.repo import RedisStore, SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    from banquet.features.joined import UserStore
    from banquet.features.repo import FeatureRepo


def open_user_reader(repo: FeatureRepo, catalogue: Path, patience_s: float = 1.0) -> JoinedUserReader:
    """A reader of users by the layout that the catalogue builder publishes in the folder `catalogue`.

    SQLite and Redis are read directly. Any other store is read through Feast, which takes seconds and 180 MB to import.
    A store that takes longer than `patience_s`, or fails, a few times in a row is left in peace until it answers a canary.
    """
    return JoinedUserReader(GuardedUsers(_store(repo, LayoutFile(catalogue)), patience_s))


def _store(repo: FeatureRepo, layout: LayoutFile) -> UserStore:
    # Imported here: redis is an extra, and Feast is heavy.
    match repo.store:
        case SqliteStore(file):
            from banquet.features.sqlite import SqliteUsers  # noqa: PLC0415

            return SqliteUsers(file, layout)
        case RedisStore(options):
            from banquet.features.redis import RedisUsers  # noqa: PLC0415

            return RedisUsers(options, layout)
        case _:
            from banquet.features.generic import FeastUsers  # noqa: PLC0415

            return FeastUsers(repo, layout)
