"""`banquet features status` and the metrics of the feature plane."""

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from typer.testing import CliRunner, Result

from banquet.app.cli import app
from banquet.app.feature_metrics import FeaturePlane
from banquet.features.census import ViewCount, publish_census, take_census
from banquet.features.project.layout import read_layout
from banquet.features.stores.local_times import note_zone, noted_zone
from tests.integration.features.world import World


def run(world: World, *words: str, width: int = 200) -> Result:
    places = ["--repo", str(world.repo.folder), "--catalogue", str(world.catalogue)]
    return CliRunner().invoke(app, ["features", *words, *places], env={"COLUMNS": str(width)})


@pytest.fixture
def zone() -> Iterator[Callable[[str], None]]:
    """Moves this process to a time zone, and back in the end."""
    before = os.environ.get("TZ")

    def move(name: str | None) -> None:
        if name is None:
            os.environ.pop("TZ", None)
        else:
            os.environ["TZ"] = name
        time.tzset()

    yield move
    move(before)


def counted(world: World) -> dict[str, ViewCount]:
    return {count.view: count for count in take_census(world.repo, read_layout(world.catalogue))}


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_every_view_is_counted(kind: str, request: pytest.FixtureRequest) -> None:
    """Rows, the share of missing features and the newest event, as the parquet has them."""
    world: World = request.getfixturevalue(kind)
    counts = counted(world)
    # Five of bob's six are null, and Cleo's height, whose NaN becomes null.
    profile = counts["user_profile"]
    assert profile.rows >= 4
    assert profile.missing == 6 / 24 if profile.rows == 4 else profile.missing > 0, profile
    assert counts["item_profile"].rows >= 4
    assert counts["user_activity"].newest_s == pytest.approx(time.time(), abs=400 * 86_400)


def test_status_shows_the_views(sqlite: World) -> None:
    """Rows, age, last materialization and what is missing, for a program and for a person."""
    body = json.loads(run(sqlite, "status", "--json").stdout)
    views = {view["view"]: view for view in body["views"]}
    assert {"user_profile", "user_activity", "item_profile", "item_activity"} <= set(views)
    profile = views["user_profile"]
    assert (profile["rows"], profile["unpushed"], profile["defaults"]) == (4, 0, None)
    assert 0 < profile["materialized_s"] < 3600
    assert profile["age_s"] > profile["materialized_s"]
    assert body["lag"]["unread_bytes"] == 0
    table = run(sqlite, "status", width=80).stdout
    for name in ("user_profile ", "user_activity ", "item_activity ", "materialized "):
        assert name in table
    assert "as running gateways count them" in " ".join(table.split())


@pytest.mark.parametrize("reader", ["UTC", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("writer", ["America/New_York", "Asia/Tokyo", ":/usr/share/zoneinfo/Asia/Tokyo"])
def test_ages_are_the_same_in_every_time_zone(sqlite: World, zone: Callable[[str], None], writer: str, reader: str) -> None:
    """SQLite has the local time of whoever wrote; the writer's note says whose that was."""
    zone(writer)
    note_zone(sqlite.catalogue)
    sqlite.push_user("ada", ["i1"], datetime.now(UTC) - timedelta(hours=30))
    zone(reader)
    views = {view["view"]: view for view in json.loads(run(sqlite, "status", "--json").stdout)["views"]}
    assert views["user_activity"]["age_s"] == pytest.approx(30 * 3600, abs=60)
    assert 0 <= views["user_activity"]["materialized_s"] < 3600
    user = json.loads(run(sqlite, "user", "ada", "--json").stdout)
    assert user["age_s"]["user_activity"] == pytest.approx(30 * 3600, abs=60)


@pytest.mark.parametrize("name", [None, "", "No/Such_Zone", "CET-1CEST,M3.5.0,M10.5.0", "/etc/passwd"])
def test_without_a_zone_that_is_known_it_is_the_readers_own(tmp_path: Path, name: str | None) -> None:
    if name is not None:
        (tmp_path / "time_zone.txt").write_text(name)
    assert noted_zone(tmp_path) is None


def test_a_damaged_catalogue_is_one_clear_error(sqlite: World) -> None:
    """The file is named, and there is no traceback."""
    run(sqlite, "build-catalogue")
    version = json.loads((sqlite.catalogue / "current.json").read_text())["version"]
    (sqlite.catalogue / f"{version}.json").write_text("{}")
    done = run(sqlite, "status")
    assert done.exit_code == 2
    assert f"{version}.json: content does not match its version" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    (sqlite.catalogue / "current.json").write_text("[")
    assert "current.json" in run(sqlite, "status").stderr


def test_definitions_that_cannot_be_served_are_said(sqlite: World) -> None:
    """After an apply that leaves nobody a history: refused by name, and in the status until it is mended."""

    def apply(*left_out: str) -> None:
        feast = sqlite.feast()
        services = [feast.get_feature_service(name) for name in ("ranking", "retrieval")]
        for service, projections in zip(services, whole, strict=True):
            service.feature_view_projections = [projection for projection in projections if projection.name not in left_out]
        feast.apply(services)

    whole = [sqlite.feast().get_feature_service(name).feature_view_projections for name in ("ranking", "retrieval")]
    before = read_layout(sqlite.catalogue)
    apply("user_activity")
    done = run(sqlite, "build-catalogue")
    assert done.exit_code == 2
    assert "no user view has a feature 'history'" in done.stderr
    assert "the layout is not kept up: no user view has a feature 'history'" in run(sqlite, "status").stdout
    assert "'history'" in json.loads(run(sqlite, "status", "--json").stdout)["problems"]["layout"]
    assert read_layout(sqlite.catalogue) == before
    apply()
    assert run(sqlite, "build-catalogue").exit_code == 0
    assert json.loads(run(sqlite, "status", "--json").stdout)["problems"] == {}


def test_metrics_tell_of_every_view(tmp_path: Path) -> None:
    """What was counted last, and how far the consumer is behind."""
    publish_census(tmp_path, [ViewCount("user_profile", "user", 7, 0.25, time.time() - 90)])
    (tmp_path / "log").mkdir()
    registry = CollectorRegistry()
    registry.register(FeaturePlane(tmp_path, tmp_path))
    page = generate_latest(registry).decode()
    assert 'banquet_view_rows{view="user_profile"} 7.0' in page
    assert 'banquet_view_missing_ratio{view="user_profile"} 0.25' in page
    assert 'banquet_view_age_seconds{view="user_profile"} 90.' in page
    assert 'banquet_view_unpushed_rows{view="user_profile"} 0.0' in page
    assert "banquet_unread_events_bytes 0.0" in page


def test_metrics_without_anything_to_tell_are_empty(tmp_path: Path) -> None:
    """Before the first build, or when files are damaged, the page still comes."""
    (tmp_path / "census.json").write_text("{")
    (tmp_path / "materializations.json").write_text("[]")
    registry = CollectorRegistry()
    registry.register(FeaturePlane(tmp_path, tmp_path))
    assert "banquet_view_rows{" not in generate_latest(registry).decode()
