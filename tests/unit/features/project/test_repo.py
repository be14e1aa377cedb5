"""Reading feature_store.yaml as Feast does, without Feast."""

from pathlib import Path

import pytest

from banquet.core.errors import BadSettings
from banquet.features.project.repo import FeatureRepo, OtherStore, RedisStore, SqliteStore


def opened(folder: Path, text: str) -> FeatureRepo:
    (folder / "feature_store.yaml").write_text(text)
    return FeatureRepo.open(folder)


def test_the_repo_that_is_shipped_can_be_read() -> None:
    """SQLite and a registry file, below the folder."""
    folder = Path(__file__).parents[4] / "feature_repo"
    repo = FeatureRepo.open(folder)
    assert (repo.project, repo.store) == ("banquet", SqliteStore(folder / "data/online_store.db"))
    assert repo.registry_file == folder / "data/registry.db"


def test_paths_are_relative_to_the_folder_also_for_a_yaml_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for `feast -f redis/feature_store.yaml`, run from the folder."""
    folder = Path(__file__).parents[4] / "feature_repo"
    monkeypatch.setenv("REDIS", "example:6380")
    repo = FeatureRepo.open(folder, folder / "redis/feature_store.yaml")
    assert repo.store == RedisStore({"host": "example", "port": 6380})
    assert repo.registry_file == folder / "data/registry_redis.db"


def test_the_yaml_that_feasts_variable_names_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FEAST_FS_YAML_FILE_PATH decides where none is given."""
    other = tmp_path / "other.yaml"
    other.write_text("project: other\nregistry: data/registry.db")
    monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(other))
    assert FeatureRepo.open(tmp_path).project == "other"


def test_redis_options_are_feasts_connection_string(tmp_path: Path) -> None:
    """host:port, then options with JSON values where they are JSON."""
    text = 'project: p\nregistry: r.db\nonline_store: {type: redis, connection_string: "h:1,db=2,ssl=true,password=s=1"}'
    assert opened(tmp_path, text).store == RedisStore({"host": "h", "port": 1, "db": 2, "ssl": True, "password": "s=1"})


@pytest.mark.parametrize(
    ("text", "store"),
    [
        ("project: p\nregistry: r.db", "data/online.db"),
        ("project: p\nregistry: r.db\nonline_store: {path: x.db}", "x.db"),
        ("project: p\nregistry: r.db\nonline_store: sqlite", "data/online.db"),
    ],
)
def test_sqlite_is_the_store_where_none_is_named(tmp_path: Path, text: str, store: str) -> None:
    """Feast's own defaults."""
    assert opened(tmp_path, text).store == SqliteStore(tmp_path / store)


@pytest.mark.parametrize(
    ("store", "kind"), [("{type: dynamodb, region: x}", "dynamodb"), ("{type: redis, redis_type: redis_cluster}", "redis")]
)
def test_other_stores_are_left_to_feast(tmp_path: Path, store: str, kind: str) -> None:
    """So is a Redis cluster."""
    assert opened(tmp_path, f"project: p\nregistry: r.db\nonline_store: {store}").store == OtherStore(kind)


@pytest.mark.parametrize("registry", ["{registry_type: sql, path: 'sqlite:///r.db'}", "s3://bucket/registry.db"])
def test_a_registry_elsewhere_is_no_file(tmp_path: Path, registry: str) -> None:
    """SQL and object stores."""
    assert opened(tmp_path, f"project: p\nregistry: {registry}").registry_file is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("registry: r.db", "project is missing"),
        ("project: p\nentity_key_serialization_version: 2", "entity_key_serialization_version must be 3"),
        ("[1, 2", "is not YAML"),
        ("- a", "holds no settings"),
        ("project: p\nonline_store: {type: redis, connection_string: '${NO_SUCH_REDIS}'}", "set that environment variable"),
        ("project: p\nonline_store: {type: redis, connection_string: 'h:port'}", "'port' is not a port"),
    ],
)
def test_a_yaml_that_cannot_be_used_is_named_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    """One line that says file, value and remedy."""
    with pytest.raises(BadSettings, match=message) as error:
        opened(tmp_path, text)
    assert "feature_store.yaml" in str(error.value)


def test_a_missing_yaml_is_named(tmp_path: Path) -> None:
    """The usual mistake: the wrong folder."""
    with pytest.raises(BadSettings, match=r"feature_store\.yaml does not exist"):
        FeatureRepo.open(tmp_path)
