"""Which reader fits which store."""

import subprocess
import sys
from pathlib import Path

from banquet.features.project.repo import FeatureRepo, RedisStore, SqliteStore, Store
from banquet.features.stores.redis import RedisCells
from banquet.features.stores.sqlite import SqliteCells
from banquet.features.users.opening import open_cells


def repo(store: Store, folder: Path) -> FeatureRepo:
    return FeatureRepo(folder, folder / "feature_store.yaml", "banquet", store, None)


async def test_sqlite_and_redis_are_read_directly(tmp_path: Path) -> None:
    """By the store that the yaml names; nothing is connected before the first read."""
    for store, kind in ((SqliteStore(tmp_path / "x.db"), SqliteCells), (RedisStore({"host": "nowhere", "port": 1}), RedisCells)):
        cells = open_cells(repo(store, tmp_path))
        assert type(cells) is kind
        await cells.aclose()


def test_the_gateways_side_does_not_import_feast() -> None:
    """Feast costs seconds and 180 MB, and changes prometheus_client."""
    code = (
        "import sys, banquet.features.users.opening, banquet.features.stores.sqlite, banquet.features.stores.redis;"
        "import banquet.features.catalogue.follower, banquet.features.catalogue.builder;"
        "sys.exit(any(name in sys.modules for name in ('feast', 'pandas', 'pyarrow')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
