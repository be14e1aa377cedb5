"""A person is forgotten everywhere, whatever is killed meanwhile, and with pseudonyms nobody can read who was served."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from banquet_client import BanquetClient, Event, InvalidRequest, NotFound

from tests.e2e.conftest import Served, banquet
from tests.e2e.test_serving import known_users

PLACES = ["events", "offline_store", "online_store", "served_log", "training_tables"]


def is_known(client: BanquetClient, user: str) -> bool:
    answer = client.recommend(user, placement="home", limit=3)
    return ("users", "unknown_user") not in [(lost.stage, lost.reason) for lost in answer.degradations]


def mentions(folder: Path, name: str) -> list[str]:
    """Files below a folder that have a name in clear, or in a column of strings."""
    found = []
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        if path.suffix == ".parquet":
            columns = pq.ParquetFile(path).read().columns
            has = any(name in column.to_pylist() for column in columns if str(column.type) in {"string", "large_string"})
        else:
            has = name.encode() in path.read_bytes()
        found += [str(path)] if has else []
    return found


def test_a_person_is_forgotten_everywhere(served: Served, client: BanquetClient) -> None:
    """Known, clicking and served before; afterwards no file has the id, and the answer proves it place by place."""
    user = known_users(served)[150]
    answer = client.recommend(user, placement="home", limit=3)
    assert is_known(client, user)
    client.record([Event(user_id=user, item_id=item, type="click", request_id=answer.request_id) for item in answer.item_ids])
    done = banquet(served.folder, "forget", user, "--address", served.address, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    erasure = json.loads(done.stdout)
    found = {place["place"]: place for place in erasure["places"]}
    assert list(found) == PLACES
    assert all(place["left"] == 0 for place in found.values())
    assert found["events"]["removed"] >= 3
    assert found["online_store"]["removed"] >= 2
    assert found["offline_store"]["removed"] >= 2
    assert found["training_tables"]["removed"] >= 2
    assert mentions(served.folder, user) == []
    assert not is_known(client, user)
    assert client.erasure(erasure["erasure_id"]).done


def test_a_request_outlives_the_consumer(served: Served, client: BanquetClient) -> None:
    """kill -9 of the process that carries it out: pending with an id to ask again with, done when the process is back."""
    user = known_users(served)[151]
    (consumer,) = served.find("banquet.app.consumer")
    consumer.kill()
    asked = client.forget(user, timeout_s=0.5)
    assert not asked.done
    assert client.forget(user, timeout_s=0.3).erasure_id == asked.erasure_id
    began_s = time.monotonic()
    while not (found := client.erasure(asked.erasure_id)).done and time.monotonic() - began_s < 60:
        time.sleep(0.2)
    assert found.done, found
    assert [place.place for place in found.places] == PLACES
    assert not is_known(client, user)


def test_what_was_never_asked_is_unknown(served: Served, client: BanquetClient) -> None:
    """And nobody cannot be forgotten."""
    with pytest.raises(NotFound, match="erasure_id"):
        client.erasure("f" * 32)
    with pytest.raises(InvalidRequest, match="user_id"):
        client.forget("")


def test_pseudonyms_hide_who_was_served(served: Served, tmp_path: Path) -> None:
    """Another gateway with `privacy.pseudonyms`: answers as ever, no log and no served row with the id; forgetting finds them."""
    folder = served.folder / "var/torchserve"
    properties = dict(line.split("=", 1) for line in (folder / "config.properties").read_text().splitlines())
    torchserve = {
        "address": f"127.0.0.1:{properties['grpc_inference_port']}",
        "management": f"127.0.0.1:{properties['grpc_management_port']}",
        "key_file": str(folder / "key_file.json"),
    }
    settings = {"torchserve": torchserve, "privacy": {"pseudonyms": True}, "log_level": "DEBUG", "served": {"flush_s": 0.5}}
    (tmp_path / "private.yaml").write_text(json.dumps(settings))
    user = known_users(served)[152]
    private = Served(served.folder, flags=("--settings", str(tmp_path / "private.yaml")))
    try:
        private.start()
        with BanquetClient(private.address, timeout_s=2.0) as client:
            assert is_known(client, user)
            answer = client.recommend(user, placement="home", limit=3)
            name = served_as(served.folder / "var/served", answer.request_id)
            assert name != user
            assert len(name) == 32
            assert mentions(served.folder / "var/log", user) == []
            erasure = client.forget(user)
            assert erasure.done, erasure
            assert {place.place: place.removed for place in erasure.places}["served_log"] >= 2
            assert mentions(served.folder / "var/served", name) == []
    finally:
        private.stop()


def served_as(folder: Path, request_id: str) -> str:
    """Whom the served log says that it answered."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < 10:
        for file in folder.rglob("[!.]*.parquet"):
            rows = pq.read_table(file, columns=["user_id", "request_id"]).to_pylist()
            for row in rows:
                if row["request_id"] == request_id:
                    return str(row["user_id"])
        time.sleep(0.2)
    raise AssertionError(f"{request_id} is not in {folder}")
