"""Sequence files: one "user item" per line, users together, each user's items in time order, no times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from banquet.training.datasets import columns
from banquet.training.datasets.clock import LAST_S, times_from_ranks
from banquet.training.datasets.files import read_parquet, read_separated
from banquet.training.datasets.movielens import movies_1m, users_1m
from banquet.training.datasets.source import Raw, Source
from banquet.training.datasets.times import times

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def read_sequences(file: Path) -> Raw:
    """A file such as ml-1m.txt.gz; only the order is real.

    Items and users get features when <name>_sas_to_original_{items,users}.txt.gz lie beside it and the movies in ../<name>.
    """
    name = file.name.split(".")[0]
    source = read_separated(file, ("user_id", "item_id"), " ")
    users, items, last_s = _metadata(file.parent, name)
    user, item = columns.ids(source, "user_id"), columns.ids(source, "item_id")
    known = users.table["user_id"] if users else pa.chunked_array([pc.unique(user)])
    last = last_s if last_s is not None else pa.chunked_array([np.full(len(known), LAST_S)])
    seconds = times_from_ranks(user, pa.chunked_array([_ranks(user)]), known, last)
    table = pa.table(
        {
            "user_id": user,
            "item_id": item,
            "event_type": pa.repeat("click", source.table.num_rows),
            "event_time": times(Source(str(file), pa.table({"event_time": seconds})), "event_time"),
        }
    )
    return Raw(f"{name}-sequences", source.holding(table), users, items, time_is_real=False)


def _ranks(user: pa.ChunkedArray) -> NDArray[np.int64]:
    """How many earlier lines each line's user has [E]."""
    who = np.asarray(user.combine_chunks().dictionary_encode().indices)
    order = np.argsort(who, kind="stable")
    counts = np.bincount(who)
    ranks = np.empty(len(who), np.int64)
    ranks[order] = np.arange(len(who)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ranks


def _metadata(folder: Path, name: str) -> tuple[Source | None, Source | None, pa.ChunkedArray | None]:
    """Users and items under the ids of the sequence file, and the users' last times; None each where the files are not there."""
    maps = [folder / f"{name}_sas_to_original_{what}.txt.gz" for what in ("users", "items")]
    originals = folder.parent / name
    if not all(file.is_file() for file in (*maps, originals / "movies.parquet", originals / "users.parquet")):
        return None, None, None
    user_map, item_map = (read_separated(file, ("here", "there"), " ") for file in maps)
    raw_users = read_parquet(originals / "users.parquet")
    users = _under_ids_of(user_map, users_1m(raw_users), "user_id")
    items = _under_ids_of(item_map, movies_1m(originals), "item_id")
    where = pc.index_in(user_map.table["there"], columns.ids(raw_users, "user_id"))
    return users, items, columns.integers(raw_users, "last_timestamp").take(where)


def _under_ids_of(mapping: Source, source: Source, key: str) -> Source:
    where = pc.index_in(mapping.table["there"], source.table[key])
    if where.null_count:
        row = pc.index(pc.is_null(where), True).as_py()
        raise mapping.wrong(
            row, "there", f"{mapping.table['there'][row].as_py()!r} is not in {source.file}", "take matching files"
        )
    table = source.table.take(where).set_column(0, key, mapping.table["here"])
    return source.holding(table)
