"""Somebody's ranking model on top of any retrieval: trained by them, checked, measured as ours is, exported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from banquet.training.candidates import click_targets, scale_of_scores
from banquet.training.course import FinishedRanking
from banquet.training.evaluate import in_batches
from banquet.training.graphs import item_example, ranking_example
from banquet.training.own.model_file import RANKER, RANKER_ITEMS, RANKING
from banquet.training.own.part import Part
from banquet.training.own.ranking_data import RankingData, batch_at, batch_of
from banquet.training.own.retrieval_data import retrieval_data

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from banquet.training.course import Course, FinishedRetrieval
    from banquet.training.moments import Moments
    from banquet.training.own.model_file import ModelFile
    from banquet.training.own.ranking_data import RankingBatch
    from banquet.training.questions import Asked
    from banquet.training.served.slates import Slates
    from banquet.training.train_retrieval import Scorer

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]


def own_ranking(course: Course, file: ModelFile, retrieval: FinishedRetrieval) -> FinishedRanking:
    """What `ranking(data)` of the file makes. Raises `BadModels`."""
    material, rng = course.material, course.rng
    course.progress.begin(RANKING, 1)
    moments = material.moments()
    data = ranking_data(course, retrieval.scorer, moments)
    made = file.modules(RANKING, data)
    items = Part(file, RANKING, RANKER_ITEMS, made[RANKER_ITEMS], item_example(material.inputs, rng))
    items.lines(data.items)
    scale = data.score_mean, data.score_scale
    example = ranking_example(items.run(items.inputs), material.schema, scale, rng)
    ranker = Part(file, RANKING, RANKER, made[RANKER], example)
    _check_scores(ranker)
    exported = items.export(course.folder, material.schema) + ranker.export(course.folder, material.schema)
    course.progress.advance()
    ranking = OwnRanking(moments, retrieval.scorer, items.module, ranker.module)
    return FinishedRanking(ranking, ranking.of_slates, exported)


@dataclass(frozen=True)
class OwnRanking:
    """Somebody's modules as `course.Ranking`."""

    moments: Moments
    scorer: Scorer
    items: nn.Module
    ranker: nn.Module

    @property
    def tells_likes(self) -> bool:
        return False

    def of_rows(self, targets: Ints, rows: Ints) -> tuple[Floats, Floats]:
        served = [np.empty((0, rows.shape[1]), np.float32)]
        for places in in_batches(np.arange(len(targets))):
            batch, items = targets[places], rows[places]
            retrieval = self.scorer.of(self.scorer.users(batch), torch.from_numpy(items))
            served.append(self._scores(batch_at(self.moments, batch, items, retrieval)).numpy())
        scores = np.concatenate(served)
        return scores, scores

    def of_asked(self, asked: Asked) -> Tensor:
        """Served scores [B, C]; of what is no candidate -inf."""
        hidden, known = torch.isinf(asked.retrieval), asked.before_ranking.masked_fill(torch.isinf(asked.retrieval), 0.0)
        batch = batch_at(self.moments, asked.targets, asked.rows, known, known=asked.known)
        return self._scores(batch).masked_fill(hidden, -torch.inf)

    def of_slates(self, slates: Slates) -> tuple[Tensor, Tensor]:
        """Retrieval scores and served scores [S, K], -inf where there is no item."""
        nothing = torch.from_numpy(slates.items < 0)
        rows = torch.from_numpy(np.maximum(slates.items, 0))
        retrieval = self.scorer.of(self.scorer.after(torch.from_numpy(slates.history)), rows)
        user = {"user_categories": torch.from_numpy(slates.categories), "user_numbers": torch.from_numpy(slates.numbers)}
        given = {name: values for name, values in user.items() if values.shape[1]}
        batch = batch_of(self.moments, given, slates.history, slates.items, slates.moments[:, None], retrieval)
        return retrieval.masked_fill(nothing, -torch.inf), self._scores(batch).masked_fill(nothing, -torch.inf)

    def weights(self) -> dict[str, float]:
        return {}

    def _scores(self, batch: RankingBatch) -> Tensor:
        with torch.no_grad():
            return batch.scores(self.items, self.ranker)


def ranking_data(course: Course, scorer: Scorer, moments: Moments) -> RankingData:
    material, pool = course.material, course.preset.ranking.pool
    mean, scale = scale_of_scores(scorer, click_targets(material.log, material.split, course.rng), pool)
    known = retrieval_data(material, course.seed, course.progress)
    return RankingData(
        **{name: getattr(known, name) for name in known.__dataclass_fields__},
        score_mean=mean,
        score_scale=scale,
        _moments=moments,
        _split=material.split,
        _scorer=scorer,
        _pool=pool,
    )


def _check_scores(ranker: Part) -> None:
    inputs = ranker.inputs
    scores = ranker.run(inputs)
    wanted = tuple(inputs["retrieval_scores"].shape)
    ranker.check_shape(
        scores,
        f"one score per candidate: {wanted}"
        + ("; a last dimension of 1 goes by `.squeeze(-1)`" if scores.dim() > len(wanted) else ""),
        fits=tuple(scores.shape) == wanted,
    )
    ranker.check_finite(scores, "for some queries, of which the first has an empty history")
    half = wanted[1] // 2
    fewer = {name: values[:, :half] if name in ("candidates", "retrieval_scores") else values for name, values in inputs.items()}
    ranker.check_same(
        ranker.run(fewer),
        scores[:, :half],
        "gives a candidate another score when others are left out",
        "which others there are depends on who else asks: score each candidate by itself",
    )
    for row, kept in enumerate(inputs["mask"].sum(1).to(torch.int64).tolist()):
        if kept:
            alone = {name: values[row : row + 1] for name, values in inputs.items()}
            alone |= {name: alone[name][:, -kept:] for name in ("history", "mask")}
            ranker.check_same(
                ranker.run(alone),
                scores[row : row + 1],
                f"gives other scores after a history of {kept} items with padding before it than without",
                "padding is zeros in front, and its length depends on who else asks: use `mask`",
            )
