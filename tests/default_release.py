"""A release of the default models as they are trained, in their real widths, but untrained: MovieLens 1M's features and items."""

from __future__ import annotations

import atexit
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import numpy as np
import torch

from banquet.releases import manifest, registry
from banquet.training.export import Exported, write_release_files
from banquet.training.graphs import all_graphs
from banquet.training.models.ranking import Ranker
from banquet.training.models.retrieval import HistoryEncoder, ItemEncoder, Retrieval
from banquet.training.presets import PRESETS
from banquet.training.train import item_widths, ranker_shape
from banquet.wire.schema import Feature, FeatureSchema, ItemInputs

ITEMS = 3706
GENRES = 18
GRAPHS = ("item_encoder", "history_encoder", "ranker_items", "ranker")


@cache
def default_release() -> Path:
    """The sealed folder; exporting takes seconds, once per process."""
    root = Path(mkdtemp(prefix="banquet-default-release-"))
    atexit.register(rmtree, root, ignore_errors=True)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    preset, schema = PRESETS["full"], _schema()
    retrieval, ranking = preset.retrieval, preset.ranking
    encoder = HistoryEncoder(retrieval.dim, preset.history_length, retrieval.blocks, retrieval.heads, retrieval.dropout)
    items = ItemEncoder(item_widths(schema), retrieval.dim)
    ranker = Ranker(ranker_shape(schema, ranking))
    # Heads are born as zeros, which any engine computes.
    torch.nn.init.normal_(ranker.heads.weight, std=0.1)
    ranker.like_weight.fill_(0.5)
    graphs = all_graphs(Retrieval(items, encoder).eval(), ranker.eval(), schema, _inputs(rng), rng)
    making = root / "making"
    making.mkdir()
    models = write_release_files(
        making, Exported.of(making, graphs, schema), schema, np.zeros((ITEMS, retrieval.dim), np.float32)
    )
    manifest.seal(making, schema=schema, models=models, metrics={}, dataset="untrained", preset=preset.name, seed=0)
    folder = registry.add(root, making)
    registry.put_in_force(root, folder.name)
    return folder


def _schema() -> FeatureSchema:
    def words(count: int) -> tuple[str, ...]:
        return tuple(f"w{number}" for number in range(count))

    return FeatureSchema(
        user=(
            Feature("gender", "user_profile", "category", words(2)),
            Feature("age", "user_profile", "category", words(7)),
            Feature("occupation", "user_profile", "category", words(21)),
            Feature("interaction_count", "user_activity", "number", log=True),
            Feature("rating_mean", "user_activity", "number"),
        ),
        item=(
            Feature("genres", "item_profile", "categories", words(GENRES)),
            Feature("year", "item_profile", "number"),
            Feature("interaction_count", "item_activity", "number", log=True),
            Feature("rating_mean", "item_activity", "number"),
        ),
        history_length=PRESETS["full"].history_length,
        item_ids=tuple(f"i{number}" for number in range(ITEMS)),
    )


def _inputs(rng: np.random.Generator) -> ItemInputs:
    return ItemInputs(
        np.arange(1, ITEMS + 1),
        np.zeros((ITEMS, 0), np.int64),
        rng.dirichlet(np.ones(GENRES), ITEMS).astype(np.float32),
        rng.normal(size=(ITEMS, 3)).astype(np.float32),
    )
