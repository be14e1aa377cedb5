"""How items will be looked up is found out when archives are built."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from banquet.core.errors import BadRelease
from banquet.releases import archive, index_plan, mar
from banquet.releases.index_plan import planned
from banquet.wire.manifest_file import BadManifest
from handlers.index.plan import ARRAYS, FACTS, read_plan
from tests.release_factory import make_release

ITEMS = 60


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return make_release(tmp_path / "releases", items=ITEMS)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some dozens count as many."""
    monkeypatch.setattr(index_plan, "FEW", ITEMS // 2)
    monkeypatch.setattr(index_plan, "RECALL_AT", 10)
    monkeypatch.setattr(index_plan, "SHARES", (16, 8, 4, 2, 1))


def unpacked(entries: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir()
    for name, content in entries.items():
        (folder / name).write_bytes(content)
    return folder


def test_few_items_are_all_looked_at(release: Path, tmp_path: Path) -> None:
    """The archive says so, and why."""
    entries = planned(release)
    assert json.loads(entries[FACTS])["kind"] == "exact"
    assert set(entries) == {FACTS}
    assert read_plan(unpacked(entries, tmp_path / "archive")) is None
    assert read_plan(tmp_path) is None


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("codes", ["int8", "float32"])
def test_many_items_get_as_many_lists_as_it_takes(release: Path, tmp_path: Path, codes: str) -> None:
    """Enough is found of what the release's own users should, by whatever lines are stored as; a worker reads it back."""
    entries = planned(release, codes)
    facts = json.loads(entries[FACTS])
    assert facts["kind"] == "ivf"
    assert facts["recall"][codes] >= 0.99
    tried = [facts["recall_by_probes"][probes] for probes in sorted(facts["recall_by_probes"], key=int)]
    assert all(recall < index_plan.WANTED for recall in tried[:-1])
    assert tried[-1] >= index_plan.WANTED
    plan = read_plan(unpacked(entries, tmp_path / "archive"))
    assert plan is not None
    assert (len(plan.lists), plan.probes, plan.codes) == (facts["lists"], facts["probes"], codes)
    assert planned(release, codes) == entries


@pytest.mark.usefixtures("large")
def test_a_plan_that_changed_is_refused(release: Path, tmp_path: Path) -> None:
    """A worker that cannot trust its lists says which file is wrong."""
    folder = unpacked(planned(release), tmp_path / "archive")
    (folder / ARRAYS).write_bytes((folder / ARRAYS).read_bytes()[:-1] + b"x")
    with pytest.raises(BadManifest, match=ARRAYS):
        read_plan(folder)


@pytest.mark.usefixtures("large")
def test_what_was_found_out_is_kept(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Building again tries nothing again, unless lines are to be stored otherwise; ranking looks nothing up."""
    built = {one.model: one for one in archive.build(release, tmp_path / "store")}
    assert mar.read(built["retrieval"].path, f"release/{FACTS}") == mar.read(built["cascade"].path, f"release/{FACTS}")
    assert f"release/{FACTS}" not in mar.inspect(built["ranking"].path).files
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert not any(one.written for one in archive.build(release, tmp_path / "store"))
    again = {one.model: one for one in archive.build(release, tmp_path / "store", "float16")}
    assert json.loads(mar.read(again["cascade"].path, f"release/{FACTS}"))["kind"] == "exact"


def test_unknown_codes_are_one_clear_error(release: Path) -> None:
    """It names those there are."""
    with pytest.raises(BadRelease, match=r"'int4'.*float32, float16, int8"):
        planned(release, "int4")
