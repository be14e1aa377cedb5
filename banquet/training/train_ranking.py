"""Trains the ranking model on what retrieval did not learn from: clicks among candidates near and far, likes among the rated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from banquet.training.candidates import Sampler, click_targets, scale_of_scores
from banquet.training.cascade import Cascade
from banquet.training.evaluate import auc, unseen_targets
from banquet.training.models.ranking import Ranker
from banquet.training.questions import Questions
from banquet.training.schedule import Best, Schedule, epochs_for
from banquet.training.windows import cut_windows, items_at, positions_before

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from banquet.training.blend import Lists
    from banquet.training.models.ranking import RankerShape
    from banquet.training.moments import Moments
    from banquet.training.optimize.teacher import Teacher
    from banquet.training.presets import Preset
    from banquet.training.progress import Progress
    from banquet.training.served.lessons import Lessons
    from banquet.training.split import Split
    from banquet.training.train_retrieval import Scorer

    Ints = NDArray[np.int64]
    Windows = tuple[Ints, Ints, Ints]

# More users than this in validation (after an epoch, and at last) tell nothing new.
EPOCH_USERS = 1_000
VALID_USERS = 4_000
# Shares of users in training whose profile is hidden, as it is missing for users who have just come.
NO_PROFILE_SHARE = 0.2
NO_PROFILE_SHARE_OF_STRANGERS = 0.5


@dataclass(frozen=True)
class RankingTrainer:
    """Everything ranking learns from. `rng` decides the batches; torch's own seed decides weights and dropout.

    `weights` of clicks and likes in the served score are given where there is no validation that could choose them.
    """

    moments: Moments
    split: Split
    scorer: Scorer
    preset: Preset
    rng: np.random.Generator
    lessons: Lessons | None = None
    teacher: Teacher | None = None
    weights: tuple[float, float] | None = None

    @cached_property
    def sampler(self) -> Sampler:
        settings, moments = self.preset.ranking, self.moments
        return Sampler(
            moments.log,
            self.split,
            self.scorer,
            moments.items,
            nearest=settings.nearest,
            sampled=settings.sampled,
            far=settings.far,
            pool=settings.pool,
            rng=self.rng,
        )

    @cached_property
    def questions(self) -> Questions:
        """What callers ask, for choosing epochs and weights."""
        return Questions(self.moments.log, self.split, self.scorer, self.moments.items, self.preset.ranking.pool)

    def fit(self, shape: RankerShape, progress: Progress) -> Ranker:
        """A new model, trained."""
        model = Ranker(shape)
        clicks = click_targets(self.moments.log, self.split, self.rng)
        self._set_scale(model, clicks)
        return self._learn(model, clicks, progress)

    def go_on(self, model: Ranker, progress: Progress) -> Ranker:
        """A model that knows something already, such as one that lost a part of itself, trained further."""
        return self._learn(model, click_targets(self.moments.log, self.split, self.rng), progress)

    def _learn(self, model: Ranker, clicks: Ints, progress: Progress) -> Ranker:
        """The model of the epoch with the best sum of NDCG@10 over all questions and AUC of likes, or else the last."""
        settings, log = self.preset.ranking, self.moments.log
        cascade = Cascade(self.moments, self.scorer, model)
        steps = math.ceil(max(len(clicks), len(self.lessons or ())) / settings.batch)
        epochs = epochs_for(settings.epochs, steps, settings.fewest_steps)
        schedule = Schedule(self._learning(model), settings.learning_rate, settings.weight_decay, epochs * steps)
        valid = self.rng.permutation(unseen_targets(log, self.split.valid))[:VALID_USERS]
        # Epochs of few answers are short: patience with them is that of as many steps.
        best = Best(model, settings.patience * epochs // settings.epochs if self.lessons else settings.patience)
        progress.begin("ranking", epochs * steps)
        for epoch in range(1, epochs + 1):
            model.train()
            losses = []
            windows = self._like_windows(steps)
            lessons = self.lessons.in_parts(steps) if self.lessons else [None] * steps
            for part, window, lesson in zip(np.array_split(self.rng.permutation(clicks), steps), windows, lessons, strict=True):
                click = (
                    self._cold_loss(cascade, part) if self.rng.random() < settings.cold_share else self._click_loss(cascade, part)
                )
                if lesson is not None and self.lessons:
                    click = click + self.lessons.loss(model, lesson)
                losses.append(schedule.step(click + self._like_loss(model, *window) if log.has_ratings else click))
                progress.advance()
            model.eval()
            ndcg = self._weigh(cascade, valid[:EPOCH_USERS])
            likes = self._like_auc(cascade) if log.has_ratings else 0.0
            told = f" like AUC {likes:.4f}" if log.has_ratings else ""
            progress.note(f"epoch {epoch}/{epochs} loss {np.mean(losses):.3f} valid NDCG@10 {ndcg:.4f}{told}")
            if not best.goes_on(ndcg + likes if len(valid) else epoch):
                break
        best.restore()
        self._weigh(cascade, valid)
        return model

    def _weigh(self, cascade: Cascade, valid: Ints) -> float:
        """Set the weights that are best on validation, or those given; returns the mean NDCG@10 over all questions."""
        if self.weights is None:
            return cascade.choose_weights(self.questions, valid, self._judging(cascade.model))
        cascade.set_weights(*self.weights)
        return 0.0

    def _learning(self, model: Ranker) -> nn.Module:
        return model if self.lessons is None else nn.ModuleList([model, self.lessons.examination])

    def _judging(self, model: Ranker) -> Sequence[Lists]:
        return () if self.lessons is None else self.lessons.judging(model)

    def _set_scale(self, model: Ranker, clicks: Ints) -> None:
        mean, scale = scale_of_scores(self.scorer, clicks, self.preset.ranking.pool)
        model.score_mean.fill_(mean)
        model.score_scale.fill_(scale)

    def _click_loss(self, cascade: Cascade, targets: Ints) -> Tensor:
        """Cross-entropy of the item taken among candidates near and far, by users of whom some have no profile."""
        met, profile = self.sampler.contest(targets), self.rng.random(len(targets)) >= NO_PROFILE_SHARE
        correction, _ = cascade.logits(targets, met.rows, met.retrieval, profile)
        loss = first_of(met.retrieval + correction + met.log_weight)
        if self.teacher is not None:
            loss = loss + self.teacher.click_loss(targets, met, correction)
        return loss

    def _cold_loss(self, cascade: Cascade, targets: Ints) -> Tensor:
        """The same for users without history, half of them without a profile; candidates come by popularity (logQ)."""
        n_drawn, popularity = self.preset.ranking.nearest + self.preset.ranking.sampled, self.sampler.popularity
        drawn = self.rng.choice(self.moments.log.n_items, n_drawn, p=popularity)
        rows = np.concatenate([self.moments.log.item[targets][:, None], np.tile(drawn, (len(targets), 1))], 1)
        correction, _ = cascade.stranger_logits(targets, rows, self.rng.random(len(targets)) >= NO_PROFILE_SHARE_OF_STRANGERS)
        log_q = torch.from_numpy(np.log(n_drawn * popularity[drawn])).to(torch.float32)
        same = torch.from_numpy(rows == rows[:, :1])
        same[:, 0] = False
        return first_of((correction - functional.pad(log_q, (1, 0))).masked_fill(same, -torch.inf))

    def _like_windows(self, count: int) -> list[Windows]:
        """One epoch of windows over all that may train, cut into `count` parts: users and ends of each window."""
        log = self.moments.log
        users, ends, fresh = cut_windows(log.starts[:-1], self.split.train_end, self.moments.history_length, self.rng)
        return [(users[part], ends[part], fresh[part]) for part in np.array_split(self.rng.permutation(len(ends)), count)]

    def _like_loss(self, model: Ranker, users: Ints, ends: Ints, fresh: Ints) -> Tensor:
        """Is each rated item of the windows liked, given what came before it in its window?"""
        log, length = self.moments.log, self.moments.history_length
        positions = positions_before(log, users, ends, length + 1)
        before, targets = positions[:, :-1], positions[:, 1:]
        rated = (np.arange(length) >= length - fresh[:, None]) & (before >= 0) & ~np.isnan(log.values[targets])
        if not rated.any():
            return torch.zeros(())
        rows = torch.from_numpy(items_at(log, before))
        mask = torch.tril(torch.ones(length, length)) * (rows >= 0).to(torch.float32)[:, None, :]
        next_scores = self.scorer.next_scores(rows, torch.from_numpy(items_at(log, np.maximum(targets, 0))))
        due = torch.from_numpy(rated)
        like = likes_in_windows(self.moments, model, before, targets, mask, next_scores)[due]
        liked = torch.from_numpy(log.liked[targets][rated].astype(np.float32))
        loss = functional.binary_cross_entropy_with_logits(like, liked)
        if self.teacher is not None:
            loss = loss + self.teacher.like_loss(before, targets, mask, next_scores, due, like)
        return loss

    def _like_auc(self, cascade: Cascade) -> float:
        log = self.moments.log
        rated = self.split.valid[~np.isnan(log.values[self.split.valid])]
        return auc(log.liked[rated], cascade.of_rows(rated, log.item[rated][:, None])[1][:, 0])


def likes_in_windows(moments: Moments, model: Ranker, before: Ints, targets: Ints, mask: Tensor, next_scores: Tensor) -> Tensor:
    """Like logits [B, L] of what stood at positions `targets`, each after the positions `before` [B, L] that `mask` shows it."""
    log, when = moments.log, np.maximum(targets, 0)
    _, like = model(
        moments.user(model, when),
        moments.items.vectors(model.items, torch.from_numpy(items_at(log, before))),
        mask,
        moments.candidates(model, items_at(log, targets), when),
        next_scores,
    )
    logits: Tensor = like
    return logits


def first_of(logits: Tensor) -> Tensor:
    """Mean cross-entropy [B, C] where the first of each row is the one that was taken."""
    return functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64))
