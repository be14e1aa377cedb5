"""From a dataset to a Feast store that can be served from. What is already there is not made again."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from banquet.core.errors import BadData
from banquet.features.atomic import write_text
from banquet.features.offline.prepared import Prepared, filling, last_prepared, record_of
from banquet.features.offline.sources import write_sources
from banquet.features.project.layout import LAYOUT_FILE
from banquet.features.project.layout_keeper import run_feast_job
from banquet.features.project.repo import FeatureRepo, SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DATASET_FILES = ("dataset.json", "interactions.parquet", "users.parquet", "items.parquet")


def prepare(
    dataset: Path,
    repo_folder: Path,
    catalogue: Path,
    *,
    yaml_file: Path | None = None,
    force: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Prepared:
    """Make the online store of a Feast repo hold exactly the dataset's features, and publish its layout into `catalogue`.

    For starting out and for changing the dataset: events pushed since are replaced. A live store is kept up with Feast's own
    materialize jobs. `say` is told each step. Raises `BadData` and `BadSettings`.
    """
    repo = FeatureRepo.open(repo_folder, yaml_file)
    fingerprint = _fingerprint(repo, dataset)
    done = last_prepared(repo)
    if not force and done is not None and done[0] == fingerprint and _is_there(repo):
        if not (catalogue / LAYOUT_FILE).is_file():
            say("asking Feast for the layout of the store")
            run_feast_job("layout", repo, catalogue)
        return done[1]
    if done is not None and done[2] != str(repo.folder) and repo.registry_file is not None:
        # In a copied folder the registry still names the tables of the original, and `feast apply` would drop those.
        repo.registry_file.unlink(missing_ok=True)
    with filling(repo):
        record = record_of(repo)
        record.unlink(missing_ok=True)
        say("writing the parquet sources")
        rows = write_sources(dataset, repo.folder / "data")
        say("feast apply and materialize")
        run_feast_job("apply", repo, catalogue)
        name = json.loads((dataset / "dataset.json").read_bytes())["name"]
        prepared = Prepared(name, rows, datetime.now(UTC).isoformat(timespec="seconds"), redone=True)
        body = {"fingerprint": fingerprint, "folder": str(repo.folder), "dataset": name, "rows": rows, "at": prepared.at}
        write_text(record, json.dumps(body, indent=1))
    return prepared


def _is_there(repo: FeatureRepo) -> bool:
    """Whether the local files are; that a server still has its data is taken on trust."""
    registry = repo.registry_file is None or repo.registry_file.is_file()
    return registry and (not isinstance(repo.store, SqliteStore) or repo.store.file.is_file())


def _fingerprint(repo: FeatureRepo, dataset: Path) -> str:
    """Of everything the outcome depends on: the dataset's files, the definitions, and where the store is."""
    digest = hashlib.sha256(repr((repo.project, repo.store, repo.registry_file)).encode())
    files = [dataset / name for name in DATASET_FILES]
    for file in [*files, *sorted(repo.folder.glob("*.py"))]:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise BadData(
                f"{file}: {error.strerror}; make a dataset with `banquet data synthetic` or `banquet data import`"
            ) from error
        digest.update(f"{file.name}:{len(content)}:".encode() + content)
    return digest.hexdigest()
