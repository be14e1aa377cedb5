"""What somebody's `retrieval(data)` is given to learn from: the training part of the data and not a moment more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import embedding

from banquet.training.activity import Log
from banquet.training.encoding import encode_all_items
from banquet.training.windows import cut_windows, items_at, positions_before

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from banquet.training.material import Material
    from banquet.training.progress import Progress
    from banquet.training.split import Split
    from banquet.wire.schema import FeatureSchema

ITEM_INPUTS = ("index", "categories", "lists", "numbers")


@dataclass(frozen=True)
class RetrievalData:
    """The training part: every user's interactions but the last ones, which ranking learns from and which judge the models.

    `items` are the inputs of all N items by name, as `item_encoder` takes them: `index` int64 [N] (0 = unknown, k + 1 for
    `schema.item_ids[k]`), `categories` int64 [N, Ic], `lists` float32 [N, Il], `numbers` float32 [N, In]; those of width 0 are
    left out. An item's row is its place in them. `log` holds the interactions: `log.item[log.starts[u] : log.starts[u + 1]]` are
    the rows of user u's items, oldest first, `log.values` their ratings (NaN = none). `note(text)` shows how training goes.
    """

    schema: FeatureSchema
    items: Mapping[str, Tensor]
    log: Log
    history_length: int
    seed: int
    note: Callable[[str], None]

    @property
    def index_size(self) -> int:
        """How many rows an embedding of `index` needs: one per known item, and row 0 for all others."""
        return len(self.schema.item_ids) + 1

    @property
    def category_sizes(self) -> tuple[int, ...]:
        """How many rows an embedding of each column of `categories` needs; 0 is unknown."""
        return tuple(len(feature.vocabulary) + 1 for feature in self.schema.item if feature.kind == "category")

    def width(self, name: str) -> int:
        """Columns of the item input `lists`, `numbers` or `categories`; 0 where there are none."""
        return self.items[name].shape[1] if name in self.items else 0

    def windows(self, rng: np.random.Generator, size: int, stride: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch, in batches of about `size`: histories and what followed, item rows int64 [B, L], left-padded with -1.

        `following[b, l]` came right after `histories[b, l]`, -1 where another window asks for it. Windows start `stride` apart,
        by default half a history; with 1 the last place alone asks for every item once.
        """
        starts, ends = self.log.starts[:-1], self.log.starts[1:]
        users, stops, fresh = cut_windows(starts, ends, stride or max(1, self.history_length // 2), rng)
        order, length = rng.permutation(len(stops)), self.history_length
        for part in np.array_split(order, max(1, round(len(order) / size))):
            rows = items_at(self.log, positions_before(self.log, users[part], stops[part], length + 1))
            due = np.arange(length) >= length - fresh[part][:, None]
            yield torch.from_numpy(rows[:, :-1]), torch.from_numpy(np.where(due, rows[:, 1:], -1))

    @staticmethod
    def histories(vectors: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """`history` [..., d] and `mask` as serving makes them of item vectors [N, d] and rows, -1 where padded."""
        mask = (rows >= 0).to(vectors.dtype)
        return embedding(rows.clamp(min=0), vectors) * mask[..., None], mask


def retrieval_data(material: Material, seed: int, progress: Progress) -> RetrievalData:
    part = training_part(material.log, material.split)
    inputs = encode_all_items(material.dataset, part, material.schema)
    whole = {name: torch.from_numpy(getattr(inputs, name)) for name in ITEM_INPUTS}
    items = {name: values for name, values in whole.items() if values.ndim == 1 or values.shape[1]}
    return RetrievalData(material.schema, items, part, material.schema.history_length, seed, progress.note)


def training_part(log: Log, split: Split) -> Log:
    """The interactions that retrieval learns from, as a log of their own: its counters know of no other."""
    kept = np.flatnonzero(np.arange(len(log)) < split.retrieval_end[log.user])
    lengths = np.bincount(log.user[kept], minlength=log.n_users)
    moments = np.empty(len(kept), np.int64)
    moments[np.argsort(log.moments[kept])] = np.arange(len(kept))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Log(log.user[kept], log.item[kept], log.values[kept], moments, starts, log.n_items)
