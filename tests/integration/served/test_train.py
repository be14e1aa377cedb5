"""Ranking learns from what was served."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from banquet.core.errors import BadData
from banquet.releases.manifest import verify
from banquet.training.datasets.dataset import Dataset
from banquet.training.report import metrics_tables
from banquet.training.served.slates import read_slates
from banquet.training.train import TrainingOrder, train
from banquet.wire.schema import Feature, FeatureSchema


@pytest.fixture(scope="module")
def metrics(trainset, tmp_path_factory):
    release = train(TrainingOrder(trainset[0], tmp_path_factory.mktemp("releases"), threads=1))
    return verify(release).metrics


def test_it_beats_popularity_and_the_order_that_was_served(metrics) -> None:
    """On answers after everything that was learned from: favourites stand above what was seen and left."""
    served = metrics["served"]
    assert min(served["answers"].values()) > 20
    assert served["model"]["auc"] > 0.75
    for baseline in ("popularity", "as_served", "retrieval"):
        assert served["model"]["auc"] > served[baseline]["auc"] + 0.02, served
        assert served["model"]["ndcg@10"] > served[baseline]["ndcg@10"] + 0.02, served


def test_the_report_shows_it(metrics) -> None:
    """A table beside the others."""
    console = Console(width=120, record=True)
    for table in metrics_tables(metrics):
        console.print(table)
    assert "as it was served" in console.export_text()


def test_a_table_without_anything_taken_is_refused_when_asked_for(trainset, tmp_path) -> None:
    """Before anything is trained on it; and so is what is no such table."""
    dataset = Dataset.load(trainset[0])
    schema = FeatureSchema((), (), 5, tuple(dataset.items["item_id"].to_pylist()))
    table = pq.read_table(trainset[0] / "served.parquet")
    nothing = table.set_column(table.column_names.index("taken"), "taken", [[False] * table.num_rows])
    pq.write_table(nothing, tmp_path / "nothing.parquet")
    assert read_slates(tmp_path / "nothing.parquet", dataset, schema) is None
    with pytest.raises(BadData, match="banquet dataset build"):
        read_slates(trainset[0] / "users.parquet", dataset, schema)


def test_slates_are_what_the_models_got(trainset) -> None:
    """Histories oldest first and padded on the left, features encoded as in serving, items at their positions."""
    dataset = Dataset.load(trainset[0])
    ids = dataset.items["item_id"].to_pylist()
    favourite = Feature("favourite", "user_profile", "category", ("green", "red"))
    count = Feature("interaction_count", "user_activity", "number", mean=1.0, scale=2.0, log=True)
    schema = FeatureSchema((favourite, count), (), 3, tuple(ids))
    slates = read_slates(trainset[0] / "served.parquet", dataset, schema)
    assert slates is not None
    rows = pq.read_table(trainset[0] / "served.parquet").to_pylist()
    answers = {}
    for row in rows:
        answers.setdefault((int(row["time"].timestamp() * 1e6), row["user_id"]), []).append(row)
    users = dataset.users["user_id"].to_pylist()
    for place in range(0, len(slates), 97):
        shown = answers[slates.times[place], users[slates.users[place]]]
        assert [ids[item] for item in slates.items[place]] == [
            row["item_id"] for row in sorted(shown, key=lambda r: r["position"])
        ]
        expected = schema.encode_user(shown[0]["user"])
        np.testing.assert_array_equal(slates.categories[place], expected.categories)
        np.testing.assert_allclose(slates.numbers[place], expected.numbers, rtol=1e-6)
        history = [ids[item] for item in slates.history[place] if item >= 0]
        assert history == shown[0]["history"][:3][::-1]
        assert (slates.history[place][: 3 - len(history)] == -1).all()
