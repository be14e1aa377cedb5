"""One small training from data to release, and what the release promises."""

import json

import numpy as np
import onnxruntime
import pytest
import torch

from banquet.core.errors import BadData, BadSettings
from banquet.releases import registry
from banquet.releases.manifest import verify
from banquet.training.datasets.dataset import Dataset
from banquet.training.datasets.synthetic import synthesize
from banquet.training.train import TrainingOrder, train
from banquet.wire.tensors import unpack
from bench.ranking_sides import TRAINED, Question, sides
from handlers.release_files import ReleaseFiles

GRAPHS = ("item_encoder", "history_encoder", "ranker_items", "ranker")
SIZES = ({"B": 1, "L": 1, "C": 1, "N": 1}, {"B": 3, "L": 7, "C": 50, "N": 9}, {"B": 2, "L": 50, "C": 2, "N": 300})


@pytest.fixture(scope="module")
def manifest(release):
    return verify(release)


def test_the_release_is_whole_and_in_force(release, manifest) -> None:
    """Every file is sealed, and `current` names the new version."""
    assert release.name == manifest.version == registry.current(release.parent)
    assert set(manifest.models) == set(GRAPHS)


def test_it_beats_popularity(manifest) -> None:
    """The planted tastes are learned, and ranking does not lose them."""
    popular = manifest.metrics["retrieval"]["popularity"]["ndcg@10"]
    assert manifest.metrics["retrieval"]["model"]["ndcg@10"] > 2 * popular
    assert manifest.metrics["ranking"]["cascade"]["ndcg@10"] > 2 * popular


def test_item_vectors_are_those_of_the_known_items(release, manifest, data) -> None:
    """One vector per item id of the schema, as the item encoder makes it."""
    arrays, _ = unpack((release / "items.safetensors").read_bytes())
    assert arrays["vectors"].shape == (len(manifest.schema.item_ids), manifest.models["item_encoder"]["output_width"])
    assert set(manifest.schema.item_ids) <= set(Dataset.load(data).items["item_id"].to_pylist())


@pytest.mark.parametrize("graph", GRAPHS)
def test_both_exports_agree_at_any_size(release, manifest, graph) -> None:
    """Batch, history, candidates and items are free, also at one."""
    arrays, _ = unpack((release / "golden.safetensors").read_bytes())
    names = manifest.models[graph]["inputs"]
    golden = {name: arrays[f"{graph}/in/{name}"] for name in names}
    program = torch.export.load(release / "programs" / f"{graph}.pt2").module()
    session = onnxruntime.InferenceSession(release / "graphs" / f"{graph}.onnx", providers=["CPUExecutionProvider"])
    assert [tensor.name for tensor in session.get_inputs()] == names
    for sizes in SIZES:
        feeds = {name: resized(name, golden[name], sizes, items=graph in {"ranker_items", "item_encoder"}) for name in names}
        expected = program(*(torch.from_numpy(feeds[name]) for name in names)).detach().numpy()
        assert np.isfinite(expected).all()
        np.testing.assert_allclose(session.run(None, feeds)[0], expected, rtol=1e-3, atol=1e-3)


def test_every_engine_ranks_as_training_learned(release, tmp_path) -> None:
    """The served form is the model of training, which can be had back from the release, on whatever runs it."""
    question = Question.drawn(ReleaseFiles(release, GRAPHS), queries=3, candidates=40)
    scores = {
        side.name: question.asked(side)() for side in sides(release, tmp_path, threads=1) if side.served or side.name == TRAINED
    }
    trained = scores.pop(TRAINED)
    assert {"onnxruntime", "eager"} <= set(scores)
    for name, got in scores.items():
        torch.testing.assert_close(got, trained, rtol=1e-3, atol=1e-3, msg=name)


def resized(name: str, array: np.ndarray, sizes: dict[str, int], *, items: bool) -> np.ndarray:
    axes = ["N"] if items else {"history": "BL", "mask": "BL", "candidates": "BC", "retrieval_scores": "BC"}.get(name, "B")
    for axis, dim in enumerate(axes):
        array = np.take(array, np.arange(sizes[dim]) % array.shape[axis], axis)
    return np.ascontiguousarray(array)


def test_metrics_are_json_beside_their_baselines(manifest) -> None:
    """Popularity, Markov-1 and logistic regression stand beside the models, under one named protocol."""
    metrics = json.loads(json.dumps(manifest.metrics))
    assert {"model", "popularity", "markov", "protocol"} <= set(metrics["retrieval"])
    assert {"model", "logistic_regression", "cascade"} <= set(metrics["ranking"])


def test_an_unknown_preset_names_those_there_are(data, tmp_path) -> None:
    """Before anything is read or written."""
    with pytest.raises(BadSettings, match="quick, full"):
        train(TrainingOrder(data, tmp_path, preset="fast"))
    assert not list(tmp_path.iterdir())


def test_too_little_data_says_how_much_is_needed(tmp_path) -> None:
    """Nobody with enough interactions to hold any back: an error before any training, and no release."""
    synthesize(users=50, items=40, events=50, seed=1).write(tmp_path / "data")
    with pytest.raises(BadData, match="at least 4 interactions"):
        train(TrainingOrder(tmp_path / "data", tmp_path / "releases"))
    assert not (tmp_path / "releases").exists()
