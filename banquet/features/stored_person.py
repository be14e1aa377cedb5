"""What the online store and the files behind it hold of users, and removing one of them from the files."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.parquet as pq

from banquet.core.errors import StageFailed
from banquet.features.atomic import replacing
from banquet.features.project.repo import OtherStore
from banquet.features.stores.cells import Part
from banquet.features.stores.encoding import BadValue
from banquet.features.users.opening import open_cells

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from banquet.features.project.layout import Layout, View
    from banquet.features.project.repo import FeatureRepo
    from banquet.features.stores.cells import StoredRow

USERS_AT_ONCE = 500


def count_rows(repo: FeatureRepo, layout: Layout, user_ids: Sequence[str]) -> int:
    """How many rows users have in the views of the online store. Raises `StageFailed` when the store does not answer."""
    views = [view for view in layout.users if not view.computed and len(view.join_keys) == 1]
    return asyncio.run(_count_rows(repo, layout.project, views, user_ids))


async def _count_rows(repo: FeatureRepo, project: str, views: list[View], user_ids: Sequence[str]) -> int:
    parts, found, store = [Part(view, tuple(view.features)) for view in views], 0, open_cells(repo)
    try:
        for start in range(0, len(user_ids), USERS_AT_ONCE):
            users = user_ids[start : start + USERS_AT_ONCE]
            keys = [[key for user in users if (key := _key(view, user)) is not None] for view in views]
            answers = await store.fetch(project, parts, keys)
            found += sum(_is_there(repo, row) for rows in answers for row in rows)
    finally:
        await store.aclose()
    return found


def _is_there(repo: FeatureRepo, row: StoredRow | StageFailed) -> bool:
    if isinstance(row, StageFailed):
        raise row
    time_us, blobs = row
    # A store that cannot delete a row keeps an empty one, with a time.
    return any(blobs) or (not isinstance(repo.store, OtherStore) and bool(time_us))


def _key(view: View, user_id: str) -> bytes | None:
    try:
        return view.keys().encode(user_id)
    except BadValue:
        # Such a user cannot be in the store.
        return None


def files_of_users(repo: FeatureRepo, layout: Layout) -> list[tuple[Path, str]]:
    """The parquet files in the repo's folder that have users, each with the column they are in."""
    columns = {view.own_key or view.join_keys[0] for view in layout.users}
    files = sorted(path for path in repo.folder.rglob("*.parquet") if not path.name.startswith("."))
    return [(path, column) for path in files for column in columns & set(_names(path))]


def count_in(files: Iterable[tuple[Path, str]], user_id: str) -> int:
    """How many rows of the files are about a user. Files that vanish meanwhile have none."""
    return sum(_rows(path, column, user_id) for path, column in files)


def erase_from(files: Iterable[tuple[Path, str]], user_id: str) -> int:
    """Rewrite the files that have a user without them, each as a whole; returns how many rows went."""
    erased = 0
    for path, column in files:
        if found := _rows(path, column, user_id):
            parquet = pq.ParquetFile(path)
            with replacing(path) as part, pq.ParquetWriter(part, parquet.schema_arrow, compression="zstd") as writer:
                for number in range(parquet.num_row_groups):
                    rows = parquet.read_row_group(number)
                    writer.write_table(rows.filter(pc.not_equal(pc.cast(rows[column], "string"), user_id)))
            erased += found
    return erased


def _rows(path: Path, column: str, user_id: str) -> int:
    try:
        ids = pq.ParquetFile(path).read([column])[column]
    except FileNotFoundError:
        return 0
    return int(pc.sum(pc.equal(pc.cast(ids, "string"), user_id)).as_py() or 0)


def _names(path: Path) -> list[str]:
    try:
        return list(pq.read_schema(path).names)
    except FileNotFoundError:
        return []
