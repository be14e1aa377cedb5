"""A SQLite file laid out as Feast lays it out."""

import sqlite3
from pathlib import Path

import pytest

from banquet.features.project.layout import LAYOUT_FILE
from banquet.features.stores.encoding import KeyFormat
from tests.unit.features.feast_bytes import LAYOUT, Write


@pytest.fixture
def layout_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    (folder / LAYOUT_FILE).write_text(LAYOUT.to_json())
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    file = tmp_path / "online_store.db"
    with sqlite3.connect(file) as connection:
        for view in LAYOUT.views:
            connection.execute(
                f"CREATE TABLE banquet_{view.name} (entity_key BLOB, feature_name TEXT, value BLOB, value_text TEXT,"
                " vector_value BLOB, event_ts timestamp, created_ts timestamp, PRIMARY KEY(entity_key, feature_name))"
            )
    connection.close()
    return file


@pytest.fixture
def write(store: Path) -> Write:
    """Write features of one entity, as a push does."""

    def write(view: str, entity_id: str, features: dict[str, bytes], time_s: int = 1_700_000_000) -> None:
        key = KeyFormat("user_id" if view.startswith("user") else "item_id", "STRING").encode(entity_id)
        with sqlite3.connect(store) as connection:
            connection.executemany(
                f"INSERT OR REPLACE INTO banquet_{view} VALUES (?, ?, ?, NULL, NULL, ?, ?)",
                [(key, name, blob, time_s, time_s) for name, blob in features.items()],
            )
        connection.close()

    return write
