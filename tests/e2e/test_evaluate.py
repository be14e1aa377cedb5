"""`banquet evaluate --address`: what a running gateway answers, measured from outside."""

from __future__ import annotations

import json

from banquet_client import BanquetClient

from banquet.core.evaluation_users import PREFIX
from tests.e2e.conftest import Served, banquet
from tests.e2e.test_forgetting import mentions


def test_a_gateway_is_evaluated_and_keeps_nothing_of_it(served: Served, client: BanquetClient, tmp_path) -> None:
    """Every question beside its baselines; a trained release beats popularity, and the users that were asked as are gone."""
    done = banquet(
        served.folder, "evaluate", "--users", "60", "--address", served.address, "--json", str(tmp_path / "found.json")
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "RankItems, among 99" in done.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["how"], found["users"], found["degraded_answers"]) == ("over gRPC", 60, 0)
    assert found["release"] == client.status().release.version
    entries = {entry["name"]: entry for entry in found["questions"]}
    assert {"catalogue", "slate", "filtered", "category", "page", "similar", "no_history"} <= set(entries)
    for name in ("catalogue", "slate", "filtered"):
        assert entries[name]["banquet"]["ndcg@10"] > entries[name]["popularity"]["ndcg@10"], name
        assert entries[name]["against_retrieval"] is not None, name
    assert not mentions(served.folder / "var/feedback/log", PREFIX)


def test_a_gateway_that_is_not_there_is_named(served: Served) -> None:
    """In one line, with nothing measured."""
    done = banquet(served.folder, "evaluate", "--users", "5", "--address", "127.0.0.1:9")
    assert (done.returncode, done.stdout) == (1, "")
    assert "127.0.0.1:9" in done.stderr.splitlines()[-1]
