"""A small trained release made smaller in every way, and served."""

from __future__ import annotations

import json
import shutil
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from banquet.app.cli import app
from banquet.core.errors import BadData, BadRelease
from banquet.releases import registry
from banquet.releases.manifest import verify
from banquet.training.optimize.loading import load_trained
from banquet.training.optimize.optimize import Wanted, optimize
from banquet.training.optimize.shapes import dense_parameters
from banquet.wire.catalogue_file import Column, Strings, write_catalogue
from banquet.wire.tensors import pack, unpack
from handlers.cascade import CascadeHandler


@pytest.fixture(scope="module")
def small(data, release):
    """Half of the dense parameters out, the rest in int8."""
    return optimize(data, release.parent, None, Wanted(quantize="int8", prune=0.5), threads=1)


def test_the_trained_models_come_back(release) -> None:
    """With the widths of the preset; they compute what the golden batch says, or loading would have failed."""
    trained = load_trained(release)
    assert trained.ranker.shape.item_dim == 32
    assert trained.ranker.shape.hidden == (64, 32)


def test_a_changed_weight_is_noticed(release, tmp_path) -> None:
    """A sealed file that changed is named before anything is learned from it."""
    copied = tmp_path / release.name
    shutil.copytree(release, copied)
    path = copied / "programs/ranker.pt2"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(BadRelease, match=r"ranker\.pt2: changed"):
        load_trained(copied)


def test_the_small_release_says_what_it_is(release, small) -> None:
    """Sealed, beside the original, which stays in force; its manifest names it, what was done and what that cost."""
    manifest = verify(small)
    assert manifest.made_from == {"release": release.name, "prune": 0.5, "precision": "int8"}
    assert registry.current(small.parent) == release.name
    before, after = manifest.metrics["original"], manifest.metrics["optimized"]
    assert after["dense_parameters"] <= 0.5 * before["dense_parameters"]
    assert after["graph_bytes"] < 0.5 * before["graph_bytes"]
    assert after["ndcg@10"] > 0.9 * before["ndcg@10"]
    assert after["auc"] > 0.95 * before["auc"]
    assert before["p50_ms"] > 0 < after["requests_per_s"]


@pytest.mark.parametrize("backend", ["onnxruntime", "eager"])
def test_the_small_release_is_served_as_any_other(small, backend, tmp_path, monkeypatch) -> None:
    """By the same handler, through the same parity gate, on either engine."""
    schema = verify(small).schema
    monkeypatch.setenv("BANQUET_BACKEND", backend)
    monkeypatch.setenv("BANQUET_CATALOGUE_DIR", str(tmp_path / "catalogue"))
    catalogue = catalogue_of(schema, tmp_path / "catalogue")
    (tmp_path / "release").symlink_to(small)
    handler = CascadeHandler()
    handler.initialize(SimpleNamespace(system_properties={"model_dir": str(tmp_path)}))
    try:
        kinds = [feature.kind for feature in schema.user]
        job = {
            "history": np.array([[0, 1, 2]], np.int32),
            "seen": np.array([[0, 1, 2]], np.int32),
            "limit": np.array([[5]], np.int32),
            "user_categories": np.zeros((1, kinds.count("category")), np.int32),
            "user_numbers": np.zeros((1, kinds.count("number")), np.float32),
        }
        (answer,) = handler.handle([{"job": bytearray(pack(job, {"catalogue": catalogue}))}], None)
    finally:
        handler._worker.catalogues.stop()
    arrays, told = unpack(answer)
    assert (told.get("backend"), told.get("release")) == (backend, small.name), told
    assert np.isfinite(arrays["ranking"]).all()
    assert not set(arrays["rows"][0].tolist()) & {0, 1, 2}


def catalogue_of(schema, folder) -> str:
    """Every item of the schema, with nothing known of any."""
    n = len(schema.item_ids)
    columns = {"available": Column("number", "item_profile", np.ones(n, np.bool_))}
    for feature in schema.item:
        empty = {
            "number": (np.zeros(n, np.float32),),
            "category": (np.full(n, -1, np.int32), Strings.of(feature.vocabulary)),
            "categories": (np.zeros(0, np.int32), Strings.of(feature.vocabulary), np.zeros(n + 1, np.int64)),
        }
        columns[feature.name] = Column(feature.kind, feature.view, *empty[feature.kind])
    views = {feature.view for feature in schema.item} | {"item_profile"}
    return write_catalogue(
        folder,
        schema.item_ids,
        columns,
        statuses={view: np.full(n, 2, np.uint8) for view in views},
        event_times_us={view: np.full(n, 1_700_000_000_000_000, np.int64) for view in views},
        confirmed_at_s=time.time(),
    )


def test_narrow_weights_are_not_made_smaller_again(data, small) -> None:
    """The error names the release to begin with."""
    with pytest.raises(BadRelease, match="already int8; optimize release"):
        optimize(data, small.parent, small.name, Wanted(prune=0.5))


def test_another_dataset_is_refused(data, release, tmp_path) -> None:
    """Before anything is made."""
    other = tmp_path / "other"
    shutil.copytree(data, other)
    about = json.loads((other / "dataset.json").read_text())
    (other / "dataset.json").write_text(json.dumps({**about, "name": "other"}))
    before = sorted(release.parent.iterdir())
    with pytest.raises(BadData, match=f"is dataset other, release {release.name} was trained on synthetic"):
        optimize(other, release.parent, release.name, Wanted(distill=True))
    assert sorted(release.parent.iterdir()) == before


def test_a_student_can_be_taught_and_made_smaller_still(data, release) -> None:
    """The command prints both sides as JSON; what it made can be loaded and pruned, as it has float weights."""
    words = [
        "release",
        "optimize",
        "--distill",
        "--data",
        str(data),
        "--releases",
        str(release.parent),
        "--threads",
        "1",
        "--json",
    ]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    trained = load_trained(registry.resolve(release.parent, told["release"]))
    assert trained.ranker.shape.item_dim == 8
    assert dense_parameters(trained.ranker) == told["metrics"]["optimized"]["dense_parameters"]
    assert told["metrics"]["optimized"]["ndcg@10"] > 0.8 * told["metrics"]["original"]["ndcg@10"]
    assert torch.isfinite(trained.ranker.heads.weight).all()
