"""Trains the retrieval model: windows of history in, what came next out, cross-entropy over the catalogue."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from banquet.training.evaluate import rank_all, unseen_targets
from banquet.training.models.retrieval import HistoryEncoder, ItemEncoder, Retrieval, pad_mask
from banquet.training.schedule import Best, Schedule, epochs_for
from banquet.training.softmax import FullSoftmax, SampledSoftmax
from banquet.training.windows import cut_windows, history_before, items_at, positions_before

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from banquet.training.activity import Log
    from banquet.training.encoding import Items
    from banquet.training.models.retrieval import ItemWidths
    from banquet.training.presets import Preset
    from banquet.training.progress import Progress
    from banquet.training.split import Split

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]

# Validation takes no more users than this: which epoch is best is clear long before.
VALID_USERS = 10_000
# An epoch has about so many steps at least, before its batches are made any larger.
STEPS_OF_SMALL_DATA = 80
# Dimensions of user vectors where each user has several: [B, M, d].
SEVERAL = 3


class History(Protocol):
    """history [B, L, d] and mask [B, L] -> what a user is after it, one vector [B, d] or several [B, M, d]."""

    def __call__(self, history: Tensor, mask: Tensor) -> Tensor: ...

    def states(self, history: Tensor, mask: Tensor) -> Tensor:
        """The same after each place of the history, [B, L, d] or [B, L, M, d]."""


class RetrievalModel(Protocol):
    """What a finished retrieval model promises, whosever it is; `items` makes vectors [N, d] of the parts of `Items`."""

    @property
    def items(self) -> Callable[..., Tensor]: ...

    @property
    def history(self) -> History: ...


class Scorer:
    """A finished model over every item: log positions [B] -> scores [B, N] for what comes at them.

    A score is the product of a user's vector and an item's; of several vectors of a user the one that points best counts.
    """

    def __init__(self, log: Log, items: Items, model: RetrievalModel, history_length: int) -> None:
        self._log, self._model, self._length = log, model, history_length
        with torch.no_grad():
            self.vectors = items.vectors(model.items)

    def users(self, targets: Ints) -> Tensor:
        """User vectors [B, d] or [B, M, d] from the history before each target."""
        before = history_before(self._log, self._log.user[targets], targets, self._length)
        return self.after(torch.from_numpy(items_at(self._log, before)))

    def after(self, rows: Tensor) -> Tensor:
        """User vectors after histories of item rows [B, L], oldest first, -1 where padded."""
        with torch.no_grad():
            return self._model.history(*self._history(rows))

    def of(self, users: Tensor, rows: Tensor) -> Tensor:
        """Scores [B, C] of item rows [B, C] for user vectors."""
        several = users if users.ndim == SEVERAL else users[:, None]
        return (several @ torch.nn.functional.embedding(rows, self.vectors).mT).amax(1)

    def next_scores(self, rows: Tensor, following: Tensor) -> Tensor:
        """Score of each following item [B, L] after the history up to its place; rows [B, L], -1 where padded."""
        with torch.no_grad():
            states = self._model.history.states(*self._history(rows))
            several = states if states.ndim > SEVERAL else states[:, :, None]
            return (several * torch.nn.functional.embedding(following, self.vectors)[:, :, None]).sum(-1).amax(2)

    def __call__(self, targets: Ints) -> Floats:
        products = self.users(targets) @ self.vectors.T
        scores: Floats = (products.amax(1) if products.ndim == SEVERAL else products).numpy()
        return scores

    def _history(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        mask = pad_mask(rows)
        return torch.nn.functional.embedding(rows.clamp(min=0), self.vectors) * mask[..., None], mask


@dataclass(frozen=True)
class RetrievalTrainer:
    """Everything retrieval learns from. `rng` decides windows and samples; torch's own seed decides weights and dropout."""

    log: Log
    split: Split
    items: Items
    preset: Preset
    rng: np.random.Generator

    def fit(self, widths: ItemWidths, progress: Progress) -> Retrieval:
        """The model of the epoch with the best NDCG@10 on the validation targets; of the last one where there are none."""
        settings, length = self.preset.retrieval, self.preset.history_length
        model = Retrieval(
            ItemEncoder(widths, settings.dim, settings.id_dropout),
            HistoryEncoder(settings.dim, length, settings.blocks, settings.heads, settings.dropout),
        )
        loss_of = self._softmax()
        epochs = epochs_for(settings.epochs, self._steps(), settings.fewest_steps)
        schedule = Schedule(model, settings.learning_rate, settings.weight_decay, epochs * self._steps())
        valid = self.rng.permutation(unseen_targets(self.log, self.split.valid))[:VALID_USERS]
        best = Best(model, settings.patience)
        progress.begin("retrieval", epochs * self._steps())
        for epoch in range(1, epochs + 1):
            model.train()
            losses = []
            for inputs, targets in self._batches():
                losses.append(schedule.step(loss_of(model, inputs, targets)))
                progress.advance()
            ndcg = rank_all(self.log, valid, Scorer(self.log, self.items, model.eval(), length))["ndcg@10"]
            progress.note(f"epoch {epoch}/{epochs} loss {np.mean(losses):.3f} valid NDCG@10 {ndcg:.4f}")
            if not best.goes_on(ndcg if len(valid) else epoch):
                break
        best.restore()
        return model

    def _softmax(self) -> FullSoftmax | SampledSoftmax:
        known = self._known()
        items = self.items.take(torch.from_numpy(known))
        if len(known) <= self.preset.retrieval.largest_softmax:
            return FullSoftmax(items)
        trained = np.arange(len(self.log)) < self.split.retrieval_end[self.log.user]
        popularity = np.bincount(self.log.item[trained], minlength=self.log.n_items)[known]
        return SampledSoftmax(items, popularity, self.preset.retrieval.samples, self.rng)

    def _known(self) -> Ints:
        return np.flatnonzero(self.items.index.numpy() > 0)

    def _steps(self) -> int:
        settings = self.preset.retrieval
        targets = int(np.maximum(self.split.retrieval_end - self.log.starts[:-1] - 1, 0).sum())
        windows = targets / settings.stride
        batch = min(settings.batch, max(settings.smallest_batch, int(windows / STEPS_OF_SMALL_DATA)))
        return max(1, math.ceil(windows / batch))

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch of inputs and targets [B, L], numbered among the known items, -1 where there is none."""
        length = self.preset.history_length
        number = np.full(self.log.n_items + 1, -1)  # the last entry serves row -1
        number[self._known()] = np.arange(len(self._known()))
        users, ends, fresh = cut_windows(self.log.starts[:-1], self.split.retrieval_end, self.preset.retrieval.stride, self.rng)
        for part in np.array_split(self.rng.permutation(len(ends)), self._steps()):
            rows = number[items_at(self.log, positions_before(self.log, users[part], ends[part], length + 1))]
            due = np.arange(length) >= length - fresh[part][:, None]
            yield torch.from_numpy(rows[:, :-1]), torch.from_numpy(np.where(due, rows[:, 1:], -1))
