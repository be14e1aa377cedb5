"""What somebody's ranking model is given, and how it is judged."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from banquet.core.errors import BadModels
from banquet.training.measure import measure_ranking, measure_retrieval
from banquet.training.own.ranking import own_ranking, ranking_data
from banquet.training.own.ranking_data import batch_at
from banquet.training.questions import Questions
from banquet.training.served.slates import Slates


def questions_of(course, finished) -> Questions:
    material = course.material
    return Questions(material.log, material.split, finished.scorer, material.items, course.preset.ranking.pool)


@pytest.fixture
def data(course, finished):
    return ranking_data(course, finished.scorer, course.material.moments())


def test_examples_are_of_moments_that_retrieval_did_not_learn_from(data, material) -> None:
    """The item taken first, then others that its user had not had; every click once an epoch."""
    batches = list(data.examples(np.random.default_rng(1), size=32, candidates=9))
    taken = torch.cat([batch.candidates["index"][:, 0] for batch in batches])
    held_back = int((material.split.train_end - material.split.retrieval_end).sum())
    assert 0 < len(taken) <= held_back
    batch = batches[0]
    assert batch.retrieval_scores.shape == batch.candidates["index"].shape == (len(batch.mask), 9)
    assert not batch.worth[:, 0].any()
    assert torch.isfinite(batch.retrieval_scores).all()
    history = batch.history["index"] * batch.mask.to(torch.int64)
    had = ((history[:, :, None] == batch.candidates["index"][:, None]) & (history > 0)[:, :, None]).any(1)
    assert torch.isinf(batch.worth[had]).all()


def test_items_are_as_they_were_at_the_moment(data, material) -> None:
    """The activity of candidates and history counts what came before, and nothing else."""
    log, targets = material.log, material.split.test[:5]
    rows = np.tile(np.arange(6), (5, 1))
    batch = batch_at(data._moments, targets, rows, torch.zeros(5, 6))
    width = data._moments.item_activity.at(rows, log.moments[targets][:, None]).shape[-1]
    assert width > 0
    for row, target in enumerate(targets):
        earlier = log.moments < log.moments[target]
        counts = np.bincount(log.item[earlier], minlength=log.n_items)[:6]
        feature = next(f for f in material.schema.item if f.name == "interaction_count")
        place = [f.name for f in material.schema.item if f.kind == "number"].index("interaction_count")
        expected = [feature.number(float(count)) for count in counts]
        np.testing.assert_allclose(batch.candidates["numbers"][row, :, place], expected, rtol=1e-4, atol=1e-5)


def test_a_ranker_that_repeats_retrieval_is_as_good_as_retrieval(course, finished, model_file) -> None:
    """The cascade is measured over retrieval's pool, by what the ranker says; it has one score, and so no log loss."""
    file = model_file(
        """
        class Same(nn.Module):
            def forward(self, retrieval_scores): return retrieval_scores
        def ranking(data): return {"ranker_items": Items(data), "ranker": Same()}
        """
    )
    ranking = own_ranking(course, file, finished).ranking
    metrics = measure_ranking(ranking, questions_of(course, finished), np.random.default_rng(0))
    alone = measure_retrieval(course.material.log, course.material.split, finished.scorer)
    assert metrics["cascade"]["ndcg@10"] == pytest.approx(alone["model"]["ndcg@10"])
    assert set(metrics["model"]) == {"auc"}
    assert metrics["weights"] == {}


def test_what_was_shown_is_scored_as_at_its_moment(course, finished, model_file, material) -> None:
    """An answer with the features of a moment gets the scores of that moment; where no item was, there is no score."""
    file = model_file(
        """
        class Fares(nn.Module):
            def forward(self, index, numbers): return torch.cat([index[:, None] / 10, numbers], 1)
        class Knows(nn.Module):
            def forward(self, user_numbers, history, mask, candidates, retrieval_scores):
                had = (history.sum(1) / mask.sum(1, keepdim=True).clamp(min=1))[:, None]
                return retrieval_scores + (candidates * had).sum(2) + user_numbers.sum(1, keepdim=True)
        def ranking(data): return {"ranker_items": Fares(), "ranker": Knows()}
        """
    )
    ranking = own_ranking(course, file, finished).ranking
    targets, rows = material.split.test[:6], np.tile([4, 9, 30], (6, 1))
    categories, numbers = ranking.moments.user_inputs(targets)
    nothing = np.zeros((6, 3), np.float32)
    when = material.log.moments[targets]
    history = ranking.moments.history_rows(targets)
    slates = Slates(rows, nothing > 0, nothing, history, categories.numpy(), numbers.numpy(), targets, when, when, when)
    retrieval, served = ranking.of_slates(slates)
    np.testing.assert_allclose(served, ranking.of_rows(targets, rows)[0], rtol=1e-5)
    torch.testing.assert_close(retrieval, finished.scorer.of(finished.scorer.users(targets), torch.from_numpy(rows)))
    _, fewer = ranking.of_slates(replace(slates, items=np.where(rows == 9, -1, rows)))
    torch.testing.assert_close(fewer[:, [0, 2]], served[:, [0, 2]])
    assert torch.isneginf(fewer[:, 1]).all()


def test_a_loss_of_another_shape_is_refused(course, finished, model_file) -> None:
    """While it is trained already, with the line that asked for it."""
    code = """
        class Wide(nn.Module):
            def forward(self, candidates): return candidates.sum(2, keepdim=True)
        def ranking(data):
            batch = next(data.examples(np.random.default_rng(1), 8, 5))
            return batch.loss(Items(data), Wide())
        """
    with pytest.raises(BadModels, match=r"line \d+: BadModels: the ranker gives shape \(\d, 5, 1\); .*squeeze"):
        own_ranking(course, model_file(code), finished)


def test_an_error_in_training_names_the_line(course, finished, model_file) -> None:
    """Of the file, not of torch."""
    with pytest.raises(BadModels, match=r"ranking\(data\) failed: line \d+: .*"):
        own_ranking(course, model_file("def ranking(data):\n    torch.zeros(2) @ torch.zeros(3)"), finished)
