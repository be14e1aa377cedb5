"""What somebody's retrieval model is given, and how it is judged."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from banquet.training.cascade import metrics_of
from banquet.training.measure import measure_retrieval
from banquet.training.own.model_file import ModelFile
from banquet.training.own.retrieval import OwnHistory, OwnRetrieval, own_retrieval
from banquet.training.own.retrieval_data import retrieval_data, training_part
from banquet.training.presets import RankingPreset
from banquet.training.progress import Progress
from banquet.training.questions import Questions
from banquet.training.train import our_ranking
from banquet.training.train_retrieval import Scorer
from banquet.training.windows import items_at, positions_before

SEVERAL = """
class Several(nn.Module):
    def forward(self, history, mask):
        recent = history.flip(1).cumsum(1).flip(1)
        return torch.stack([history.sum(1), history[:, -1], recent.amax(1) * mask.amax(1, keepdim=True)], 1)
def retrieval(data): return {"item_encoder": Items(data), "history_encoder": Several()}
"""


def test_the_training_part_knows_nothing_of_what_judges(material) -> None:
    """Interactions, their order and the activity of items end where ranking's part begins."""
    log, split = material.log, material.split
    part = training_part(log, split)
    for user in range(log.n_users):
        np.testing.assert_array_equal(
            part.item[part.starts[user] : part.starts[user + 1]], log.item[log.starts[user] : split.retrieval_end[user]]
        )
    counted = part.item_counters.before(np.arange(log.n_items), np.full(log.n_items, len(part)))
    np.testing.assert_array_equal(counted[:, 0], np.bincount(part.item, minlength=log.n_items))
    data = retrieval_data(material, 7, Progress())
    assert len(data.log) == int((split.retrieval_end - log.starts[:-1]).sum()) < len(log)
    assert data.width("numbers") == sum(feature.kind == "number" for feature in data.schema.item)


def test_windows_ask_for_every_interaction_but_the_first_once(material) -> None:
    """Each after what came before it; and at the last place alone, if windows start one apart."""
    data = retrieval_data(material, 7, Progress())
    owed = len(data.log) - int((np.diff(data.log.starts) > 0).sum())
    for stride, place in ((None, slice(None)), (1, slice(-1, None))):
        asked = np.concatenate([f[:, place].numpy().ravel() for _, f in data.windows(np.random.default_rng(1), 16, stride)])
        assert (asked >= 0).sum() == owed
    following = {(before, after) for before, after in zip(data.log.item[:-1], data.log.item[1:], strict=True)}
    rows, next_rows = next(data.windows(np.random.default_rng(1), 16))
    asked = next_rows >= 0
    assert {(int(a), int(b)) for a, b in zip(rows[asked], next_rows[asked], strict=True)} <= following


def test_of_several_vectors_the_best_one_counts(course, model_file) -> None:
    """In full ranking, for given items, and place by place; measured under the same protocol."""
    log = course.material.log
    finished = own_retrieval(course, model_file(SEVERAL))
    targets = course.material.split.test[:20]
    scorer = finished.scorer
    users = scorer.users(targets)
    assert users.shape == (20, 3, 4)
    plain = torch.stack([users[:, vector] @ scorer.vectors.T for vector in range(3)]).amax(0)
    np.testing.assert_allclose(scorer(targets), plain, rtol=1e-5, atol=1e-6)
    rows = torch.from_numpy(np.random.default_rng(0).integers(0, log.n_items, (20, 5)))
    torch.testing.assert_close(scorer.of(users, rows), plain.gather(1, rows))
    assert set(measure_retrieval(log, course.material.split, scorer)["model"]) >= {"ndcg@10", "hr@10"}
    assert finished.exported.models["history_encoder"]["own"]["module"] == "Several"
    assert len(finished.exported.models["history_encoder"]["own"]["sha256"]) == 64


def test_scores_within_a_history_are_those_of_the_history_up_to_there(material) -> None:
    """What Banquet's ranking learns of somebody's retrieval is what serving will tell it."""
    log, length = material.log, 10

    class History(torch.nn.Module):
        def forward(self, history, mask):
            return history.flip(1).cumsum(1).amax(1) * mask.amax(1, keepdim=True)

    vectors = torch.randn(log.n_items, 6, generator=torch.Generator().manual_seed(0))
    scorer = Scorer(log, material.items, OwnRetrieval(vectors, OwnHistory(History())), length)
    targets = material.split.test[:7]
    rows = torch.from_numpy(items_at(log, positions_before(log, log.user[targets], targets, length)))
    following = torch.from_numpy(np.random.default_rng(0).integers(0, log.n_items, tuple(rows.shape)))
    within = scorer.next_scores(rows, following)
    for place in range(length):
        upto = rows[:, : place + 1]
        torch.testing.assert_close(within[:, place], scorer.of(scorer.after(upto), following[:, place : place + 1])[:, 0])


def test_a_model_trained_elsewhere_is_brought_into_order(course, tmp_path) -> None:
    """The second example of docs/models.md: a checkpoint of vectors in an order of its own."""
    ids = course.material.dataset.items["item_id"].to_pylist()[::-1][:-3]
    vectors = torch.randn(len(ids), 8, generator=torch.Generator().manual_seed(0))
    torch.save({"item_ids": ids, "vectors": vectors}, tmp_path / "checkpoint.pt")
    page = Path(__file__).parents[4] / "docs/models.md"
    (code,) = re.findall(r"```python\n(# elsewhere\.py\n.*?)```", page.read_text(), re.DOTALL)
    (tmp_path / "elsewhere.py").write_text(code)
    finished = own_retrieval(course, ModelFile.load(tmp_path / "elsewhere.py"))
    place = course.material.schema.item_ids.index(ids[4])
    np.testing.assert_allclose(finished.vectors[place], vectors[4], rtol=1e-6)


def test_our_ranking_stands_on_anybodys_retrieval(course, model_file) -> None:
    """Also where each user has several vectors; its inputs and graphs are as ever."""
    short = RankingPreset(item_dim=4, user_dim=4, attention_dim=4, cross_rank=2, hidden=(8,), epochs=1, fewest_steps=2)
    course = replace(course, preset=replace(course.preset, ranking=short))
    retrieval, material = own_retrieval(course, model_file(SEVERAL)), course.material
    ranking = our_ranking(course, retrieval)
    assert set(ranking.exported.models) == {"ranker_items", "ranker"}
    assert "own" not in ranking.exported.models["ranker"]
    asked = Questions(material.log, material.split, retrieval.scorer, material.items, 500).ask("catalogue", material.split.test)
    assert metrics_of(material.log, asked, ranking.ranking.of_asked)["hr@10"] > 0
