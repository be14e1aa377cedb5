"""The example of docs/models.md, from the file to answers of a worker."""

from __future__ import annotations

import hashlib
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from banquet.releases.archive import build
from banquet.releases.manifest import verify
from banquet.training.activity import read_log
from banquet.training.columns import item_columns
from banquet.training.datasets.dataset import Dataset
from banquet.training.datasets.synthetic import synthesize
from banquet.training.train import TrainingOrder, train
from banquet.wire.catalogue_file import read_catalogue, write_catalogue
from banquet.wire.tensors import pack, unpack
from handlers.cascade import CascadeHandler

EXAMPLE = Path(__file__).parents[3] / "docs/examples/own_models.py"
LIMIT = 20


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "synthetic"
    synthesize(users=200, items=100, events=6_000, seed=3).write(folder)
    return folder


@pytest.fixture(scope="module")
def release(data, tmp_path_factory) -> Path:
    return train(TrainingOrder(data, tmp_path_factory.mktemp("releases"), threads=1, models=EXAMPLE))


@pytest.fixture(scope="module")
def catalogue(data, tmp_path_factory):
    """The dataset's items as they are after all events: folder and version."""
    folder, dataset = tmp_path_factory.mktemp("catalogue"), Dataset.load(data)
    log = read_log(dataset)
    n = log.n_items
    columns = item_columns(dataset, log.item_counters.before(np.arange(n), np.full(n, len(log))))
    views = {column.view for column in columns.values()}
    version = write_catalogue(
        folder,
        dataset.items["item_id"].to_pylist(),
        columns,
        statuses={view: np.full(n, 2, np.uint8) for view in views},
        event_times_us={view: np.full(n, 1_700_000_000_000_000, np.int64) for view in views},
        confirmed_at_s=time.time(),
    )
    return folder, version


@pytest.fixture
def worker(release, catalogue, tmp_path, monkeypatch):
    """The cascade archive's handler, at work."""
    (archive,) = (built.path for built in build(release, tmp_path / "store") if built.model == "cascade")
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(tmp_path / "cascade")
    monkeypatch.setenv("BANQUET_CATALOGUE_DIR", str(catalogue[0]))
    handler = CascadeHandler()
    handler.initialize(SimpleNamespace(system_properties={"model_dir": str(tmp_path / "cascade")}))
    yield handler
    handler._worker.catalogues.stop()


def test_both_models_beat_popularity(release) -> None:
    """Under the protocol and in the tables of Banquet's own models."""
    metrics = verify(release).metrics
    popular = metrics["retrieval"]["popularity"]["ndcg@10"]
    assert metrics["retrieval"]["model"]["ndcg@10"] > 2 * popular
    assert metrics["ranking"]["cascade"]["ndcg@10"] > 2 * popular
    assert metrics["ranking"]["model"]["auc"] > 0.5


def test_the_manifest_says_whose_models_they_are(release) -> None:
    """The file's name and checksum beside each graph."""
    digest = hashlib.sha256(EXAMPLE.read_bytes()).hexdigest()
    for graph in verify(release).models.values():
        assert graph["own"]["file"] == "own_models.py"
        assert graph["own"]["sha256"] == digest


def test_a_worker_serves_what_was_trained(release, worker, catalogue) -> None:
    """Two users of different histories in one job: the programs' own scores, and the best items in order."""
    schema, programs = verify(release).schema, Programs(release)
    items, version = programs.items(catalogue, schema), catalogue[1]
    histories, n_users = np.array([[-1] * 3 + [5, 7], [3, 9, 11, 20, 42]], np.int32), 2
    user = {
        "user_categories": np.ones((n_users, sum(f.kind == "category" for f in schema.user)), np.int32),
        "user_numbers": np.full((n_users, sum(f.kind == "number" for f in schema.user)), 0.3, np.float32),
    }
    job = {"history": histories, "seen": histories, "limit": np.full((n_users, 1), LIMIT, np.int32), **user}
    (answer,) = worker.handle([{"job": bytearray(pack(job, {"catalogue": version}))}], None)
    answered, metadata = unpack(answer)
    arrays = {name: array.copy() for name, array in answered.items()}
    assert metadata["release"] == release.name
    for row, history in enumerate([[5, 7], [3, 9, 11, 20, 42]]):
        had = torch.tensor([history])
        vector = programs.run("history_encoder", {"history": items["vectors"][had], "mask": torch.ones(had.shape)})
        scores = (vector @ items["vectors"].T)[0]
        scores[history] = -torch.inf
        found = torch.from_numpy(arrays["rows"][row].astype(np.int64))
        torch.testing.assert_close(torch.from_numpy(arrays["scores"][row]), scores.topk(LIMIT).values, rtol=1e-3, atol=1e-3)
        ranked = programs.run(
            "ranker",
            {
                "user_categories": torch.from_numpy(user["user_categories"][row : row + 1].astype(np.int64)),
                "user_numbers": torch.from_numpy(user["user_numbers"][row : row + 1]),
                "history": items["features"][had],
                "mask": torch.ones(had.shape),
                "candidates": items["features"][found][None],
                "retrieval_scores": scores[found][None],
            },
        )
        torch.testing.assert_close(torch.from_numpy(arrays["ranking"][row]), ranked[0], rtol=1e-3, atol=1e-3)


class Programs:
    """A release's exported programs, run as they are."""

    def __init__(self, release: Path) -> None:
        self.models = verify(release).models
        self.programs = {name: torch.export.load(release / f"programs/{name}.pt2").module() for name in self.models}

    @torch.no_grad()
    def run(self, graph: str, feeds):
        return self.programs[graph](*(feeds[name] for name in self.models[graph]["inputs"]))

    def items(self, catalogue, schema):
        file = read_catalogue(*catalogue)
        encoded = schema.encode_items(file.ids.to_list(), file.columns)
        feeds = {name: torch.from_numpy(getattr(encoded, name)) for name in ("index", "categories", "lists", "numbers")}
        return {"vectors": self.run("item_encoder", feeds), "features": self.run("ranker_items", feeds)}
