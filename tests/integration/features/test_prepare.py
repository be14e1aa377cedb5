"""From a dataset to a served store, with the real feast underneath."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Field
from feast.types import String

from banquet.core.errors import BadSettings
from banquet.features.catalogue.item_columns import columns_of
from banquet.features.catalogue.item_store import open_items, scanned
from banquet.features.offline.prepare import prepare
from banquet.features.project.layout import LAYOUT_FILE, read_layout
from banquet.features.project.layout_keeper import LayoutKeeper, run_feast_job
from banquet.features.project.repo import FeatureRepo
from banquet.features.status import status_of
from banquet.features.users.opening import open_user_reader
from tests.integration.features.world import REPO, World, dataset, sqlite_world


def test_a_second_time_nothing_is_done_again() -> None:
    """Unchanged data costs the hash of its files."""
    world = sqlite_world()
    store = world.repo.folder / "data/online_store.db"
    before, steps = store.stat().st_mtime_ns, []
    done = prepare(dataset(), world.repo.folder, world.catalogue, say=steps.append)
    assert (done.redone, steps, store.stat().st_mtime_ns) == (False, [], before)
    assert done.rows == {
        "user_profile": 4,
        "user_activity": 3,
        "user_recent": 3,
        "item_profile": 4,
        "item_activity": 3,
        "item_recent": 3,
    }


async def test_another_dataset_replaces_the_first_one(sqlite: World, tmp_path: Path) -> None:
    """Who is gone from the data is gone from the store, new columns are there, and readers follow."""
    data = Path(shutil.copytree(dataset(), tmp_path / "dataset"))
    users = pa.table({"user_id": ["ada", "dora"], "mood": ["calm", "wild"]})
    pq.write_table(users, data / "users.parquet")
    items = pq.read_table(data / "items.parquet").slice(0, 2)
    pq.write_table(items.append_column("weight", pa.array([1, 2], pa.int64())), data / "items.parquet")
    assert prepare(data, sqlite.repo.folder, sqlite.catalogue).redone
    layout = read_layout(sqlite.catalogue)
    store = open_items(sqlite.repo)
    found = columns_of(scanned(store, layout))
    store.close()
    assert (found.ids, found.columns["weight"].values.tolist()) == (["i1", "i10"], [1, 2])
    reader = open_user_reader(sqlite.repo, sqlite.catalogue)
    ada, bob, dora = [await reader.read(user_id) for user_id in ("ada", "bob", "dora")]
    await reader.aclose()
    assert (ada.values["mood"], dora.found, bob.found) == ("calm", True, False)
    assert len(scanned(open_items(sqlite_world().repo), read_layout(sqlite_world().catalogue))), (
        "the original of the copied repo is untouched"
    )


def test_data_that_is_not_there_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    """The feast command shows that line too, and no traceback."""
    folder = Path(shutil.copytree(REPO, tmp_path / "feature_repo", ignore=shutil.ignore_patterns("data", "__pycache__")))
    with pytest.raises(BadSettings, match=r"user_profile\.parquet does not exist.*`banquet features prepare`"):
        run_feast_job("apply", FeatureRepo.open(folder), tmp_path / "catalogue")


def test_the_feast_command_serves_the_repo_unaided(tmp_path: Path) -> None:
    """`feast apply` and `feast materialize-incremental` from the folder, by a user who has never heard of Banquet."""
    folder = Path(shutil.copytree(REPO, tmp_path / "feature_repo", ignore=shutil.ignore_patterns("data", "__pycache__")))
    shutil.copytree(sqlite_world().repo.folder / "data", folder / "data", ignore=shutil.ignore_patterns("*.db*", "*.json"))
    # One process for both commands: importing Feast takes seconds.
    both = (
        "from feast.cli.cli import cli\n"
        "cli(['apply'], standalone_mode=False)\n"
        "cli(['materialize-incremental', '2026-06-01T00:00:00'], standalone_mode=False)\n"
    )
    done = subprocess.run([sys.executable, "-c", both], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    repo = FeatureRepo.open(folder)
    store = open_items(repo)
    found = columns_of(scanned(store, read_layout(sqlite_world().catalogue)))
    store.close()
    assert found.ids == sorted(found.ids)
    assert len(found.ids) == 4


def test_status_tells_store_dataset_and_catalogue(sqlite: World) -> None:
    """What `banquet features status` prints."""
    found = status_of(sqlite.repo, sqlite.catalogue)
    assert found.store.startswith("sqlite ")
    assert found.dataset.startswith("small, prepared ")
    assert found.version == ""


def test_the_layout_follows_the_registry(sqlite: World) -> None:
    """Published when there is none, and anew after someone's `feast apply`, while the old one serves."""
    (sqlite.catalogue / LAYOUT_FILE).unlink()
    keeper = LayoutKeeper(sqlite.repo, sqlite.catalogue)
    first = keeper.current()
    assert "mood" not in first.views[0].features
    view = sqlite.feast().get_feature_view("user_profile")
    view.schema.append(Field(name="mood", dtype=String))
    view.features.append(Field(name="mood", dtype=String))
    service = sqlite.feast().get_feature_service("ranking")
    service.feature_view_projections = [view.projection, *service.feature_view_projections[1:]]
    view.projection.features = view.features
    sqlite.feast().apply([view, service])
    deadline_s = time.monotonic() + 60
    while "mood" not in keeper.current().views[0].features:
        assert time.monotonic() < deadline_s
        time.sleep(0.2)
    keeper.close()
