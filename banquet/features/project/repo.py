"""A Feast repo as its `feature_store.yaml` describes it, read without Feast (importing Feast takes seconds and 180 MB)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import yaml

from banquet.core.errors import BadSettings

YAML_VARIABLE = "FEAST_FS_YAML_FILE_PATH"


@dataclass(frozen=True, slots=True)
class SqliteStore:
    """An online store in a SQLite file."""

    file: Path


@dataclass(frozen=True, slots=True)
class RedisStore:
    """An online store on one Redis server; `options` are redis-py's own, among them host, port, db, password and ssl."""

    options: dict[str, object]


@dataclass(frozen=True, slots=True)
class OtherStore:
    """An online store that is read through Feast's own code."""

    type: str


Store: TypeAlias = SqliteStore | RedisStore | OtherStore


def kind_of(store: Store) -> str:
    """`sqlite`, `redis` or Feast's name of another store."""
    match store:
        case SqliteStore():
            return "sqlite"
        case RedisStore():
            return "redis"
        case OtherStore(kind):
            return kind


@dataclass(frozen=True, slots=True)
class FeatureRepo:
    """Where the definitions are (`folder`), which `yaml` is in force, and what it says.

    `registry_file` is None when the registry is not a local file.
    """

    folder: Path
    yaml: Path
    project: str
    store: Store
    registry_file: Path | None

    @classmethod
    def open(cls, folder: Path, yaml_file: Path | None = None) -> FeatureRepo:
        """Read the repo's yaml: the one given, or that of Feast's FEAST_FS_YAML_FILE_PATH, or the folder's own, as `feast` does.

        Paths within the yaml are relative to the folder. Raises `BadSettings` naming the file and the key.
        """
        folder = folder.absolute()
        path = (yaml_file or Path(os.environ.get(YAML_VARIABLE, folder / "feature_store.yaml"))).absolute()
        body = _read(path)
        project = body.get("project")
        if not isinstance(project, str) or not project:
            raise BadSettings(f"{path}: project is missing; give the Feast project a name")
        if body.get("entity_key_serialization_version", 3) != 3:  # noqa: PLR2004 - Feast's number
            raise BadSettings(f"{path}: entity_key_serialization_version must be 3, the one that can be read back")
        return cls(folder, path, project, _store(path, folder, body.get("online_store")), _registry(folder, body.get("registry")))


def _read(path: Path) -> dict[str, object]:
    try:
        body = yaml.safe_load(os.path.expandvars(path.read_text()))
    except FileNotFoundError as error:
        raise BadSettings(f"{path} does not exist; point the settings at a Feast repo with a feature_store.yaml") from error
    except yaml.YAMLError as error:
        raise BadSettings(f"{path} is not YAML: {error}") from error
    if not isinstance(body, dict):
        raise BadSettings(f"{path} holds no settings; see feature_repo/feature_store.yaml for an example")
    return body


def _store(path: Path, folder: Path, body: object) -> Store:
    options = body if isinstance(body, dict) else {"type": body or "sqlite"}
    kind = str(options.get("type", "sqlite"))
    if kind == "sqlite" or kind.endswith(".SqliteOnlineStore"):
        return SqliteStore(folder / str(options.get("path", "data/online.db")))
    if kind == "redis" and options.get("redis_type", "redis") == "redis":
        return RedisStore(_redis_options(path, str(options.get("connection_string", "localhost:6379"))))
    return OtherStore(kind)


def _redis_options(path: Path, connection: str) -> dict[str, object]:
    """Feast's `host:port,option=value,...` as redis-py's keyword arguments."""
    if "$" in connection.split(",", maxsplit=1)[0]:
        # What follows the first comma may be a password.
        shown = connection.partition(",")[0]
        raise BadSettings(f"{path}: connection_string {shown!r}: set that environment variable to host:port")
    options: dict[str, object] = {"host": "localhost", "port": 6379}
    for part in connection.split(","):
        name, separator, value = part.partition("=")
        if separator:
            options[name] = _plain(value)
        else:
            host, _, port = part.partition(":")
            if port and not port.isdigit():
                raise BadSettings(f"{path}: connection_string {part!r}: {port!r} is not a port")
            options |= {"host": host, "port": int(port or 6379)}
    return options


def _plain(value: str) -> object:
    try:
        plain: object = json.loads(value)
    except json.JSONDecodeError:
        return value
    return plain


def _registry(folder: Path, body: object) -> Path | None:
    options = body if isinstance(body, dict) else {"path": body}
    path = str(options.get("path") or "data/registry.db")
    if options.get("registry_type", "file") != "file" or "://" in path:
        return None
    return folder / path
