"""Removes a user from a training set."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.parquet as pq

from banquet.training.served.build import TABLE

if TYPE_CHECKING:
    from pathlib import Path

TABLES = ("interactions.parquet", "users.parquet", TABLE)


def erase_user(folder: Path, user_id: str) -> int:
    """Rewrite a dataset's tables without a user and return how many rows went. A folder without a dataset has none.

    Each file is replaced as a whole. Raises `OSError` when the disk refuses; then call it again.
    """
    erased = sum(_erase_from(folder / name, user_id) for name in TABLES)
    about = folder / "dataset.json"
    if erased and about.is_file():
        counts = {name: pq.read_metadata(folder / f"{name}.parquet").num_rows for name in ("users", "interactions")}
        draft = folder / f".dataset.{uuid.uuid4().hex}"
        draft.write_text(json.dumps(json.loads(about.read_text()) | counts, indent=2) + "\n")
        draft.replace(about)
    return erased


def count_user(folder: Path, user_id: str) -> int:
    """How many rows of a user there are."""
    return sum(_count_in(folder / name, user_id) for name in TABLES)


def _count_in(file: Path, user_id: str) -> int:
    column = pq.read_table(file, columns=["user_id"])["user_id"] if file.is_file() else []
    return int(pc.sum(pc.equal(column, user_id)).as_py() or 0) if len(column) else 0


def _erase_from(file: Path, user_id: str) -> int:
    erased = _count_in(file, user_id)
    if erased:
        parquet = pq.ParquetFile(file)
        draft = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
        try:
            with pq.ParquetWriter(draft, parquet.schema_arrow, compression="zstd") as writer:
                for number in range(parquet.num_row_groups):
                    rows = parquet.read_row_group(number)
                    writer.write_table(rows.filter(pc.not_equal(rows["user_id"], user_id)))
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)
    return erased
