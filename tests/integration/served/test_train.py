"""Ranking learns from what was served."""

import pytest
from rich.console import Console

from banquet.releases.manifest import verify
from banquet.training.report import metrics_tables
from banquet.training.train import train


@pytest.fixture(scope="module")
def metrics(trainset, tmp_path_factory):
    release = train(trainset[0], tmp_path_factory.mktemp("releases"), preset="quick", seed=7, threads=1)
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
