"""Short trainings of retrieval alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from banquet.training.activity import read_log
from banquet.training.baselines import Popularity
from banquet.training.datasets.synthetic import synthesize
from banquet.training.encoding import Items, encode_all_items
from banquet.training.evaluate import rank_all
from banquet.training.presets import Preset, RetrievalPreset
from banquet.training.progress import Progress
from banquet.training.schema_building import build_schema
from banquet.training.split import split_by_time
from banquet.training.train import item_widths
from banquet.training.train_retrieval import RetrievalTrainer, Scorer

SHORT = Preset("short", RetrievalPreset(dim=16, epochs=3, patience=3, fewest_steps=60, stride=10), history_length=20)


@pytest.fixture(scope="module")
def world():
    dataset = synthesize(users=150, items=80, events=3_000, seed=5)
    log = read_log(dataset)
    split = split_by_time(log)
    schema = build_schema(dataset, log, split, 20)
    widths = item_widths(schema)
    return log, split, Items.of(encode_all_items(dataset, log, schema), widths.numbers), widths


def fit(world, preset):
    log, split, items, widths = world
    torch.manual_seed(1)
    model = RetrievalTrainer(log, split, items, preset, np.random.default_rng(1)).fit(widths, Progress())
    return model, rank_all(log, split.test, Scorer(log, items, model, 20))["ndcg@10"]


def test_the_same_seed_makes_the_same_model(world) -> None:
    """Weights equal to the last bit."""
    first, second = fit(world, SHORT)[0], fit(world, SHORT)[0]
    for name, weights in first.state_dict().items():
        assert torch.equal(weights, second.state_dict()[name]), name


def test_a_large_catalogue_learns_from_samples(world) -> None:
    """Above the limit the corrected sample takes the catalogue's place, and still beats popularity."""
    log, split, _, _ = world
    _, ndcg = fit(world, replace(SHORT, retrieval=replace(SHORT.retrieval, largest_softmax=10, samples=64, learning_rate=5e-3)))
    assert ndcg > 1.2 * rank_all(log, split.test, Popularity(log, split))["ndcg@10"]
