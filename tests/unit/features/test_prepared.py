"""What the store was filled from, for a process that pushes on top of it."""

import json
import threading
from pathlib import Path

import pytest

from banquet.features.offline.prepared import StoreBase, filling, record_of
from banquet.features.project.repo import FeatureRepo


@pytest.fixture
def repo(tmp_path: Path) -> FeatureRepo:
    (tmp_path / "feature_store.yaml").write_text(
        "project: p\nprovider: local\nonline_store: {type: sqlite, path: data/online.db}\n"
    )
    return FeatureRepo.open(tmp_path, tmp_path / "feature_store.yaml")


def note(repo: FeatureRepo, dataset: str) -> None:
    body = {"fingerprint": dataset, "folder": str(repo.folder), "dataset": dataset, "rows": {}, "at": "2026-01-01"}
    record_of(repo).write_text(json.dumps(body))


def test_another_preparation_is_noticed_at_work(repo: FeatureRepo) -> None:
    """Also the first one."""
    base = StoreBase(repo)
    names = []
    for dataset in ("", "small", "larger"):
        if dataset:
            note(repo, dataset)
        with base.held() as name:
            names.append(name)
    assert names == ["", "small 2026-01-01", "larger 2026-01-01"]


def test_there_is_no_base_while_the_store_is_filled(repo: FeatureRepo) -> None:
    """Whoever would push on top of the old one waits."""
    base = StoreBase(repo)
    with filling(repo), base.held() as name:
        assert name is None
    with base.held() as name:
        assert name == ""


def test_filling_waits_for_who_holds_the_base(repo: FeatureRepo) -> None:
    """A step that has begun ends on the store it began on."""
    begun = threading.Event()

    def fill() -> None:
        with filling(repo):
            begun.set()

    thread = threading.Thread(target=fill)
    with StoreBase(repo).held():
        thread.start()
        assert not begun.wait(0.1)
    assert begun.wait(5)
    thread.join()
