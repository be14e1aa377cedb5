"""Evaluation cases: what users really took next, and every way in which a caller may ask for it (leave the last out)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from banquet.core.declared import HISTORY_LENGTH
from banquet.core.errors import BadData, BadSettings
from banquet.training.activity import read_log
from banquet.training.evaluate import are_popular, unseen_targets
from banquet.training.questions import OTHERS
from banquet.training.split import FEWEST, split_by_time, trained_counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from banquet.training.activity import Log
    from banquet.training.datasets.dataset import Dataset
    from banquet.training.split import Split

    Ints = NDArray[np.int64]
    Mask = NDArray[np.bool_]

# A text column is one of categories up to so many different values.
MOST_CATEGORIES = 200
# A segment of fewer users tells nothing.
FEWEST_USERS = 20
# The shares of users with the shortest and the longest histories.
SHORT_SHARE, LONG_SHARE = 0.25, 0.25

Call = Literal["recommend", "rank", "similar"]


@dataclass(frozen=True, slots=True)
class Case:
    """One user just before `taken`, and what else the question says. Ids; `history` newest first, empty for a stranger.

    `target` is the position in the log, `allowed` the rows of items that may be answered, None for all but the history.
    """

    target: int
    taken: str
    history: tuple[str, ...]
    page_item: str = ""
    item_ids: tuple[str, ...] = ()
    filter_value: str = ""
    allowed: Ints | None = None


@dataclass(frozen=True)
class Question:
    """One way to ask, for many users. `segments` are masks [U] over its cases by name. `filter_by` is the filters' attribute."""

    name: str
    title: str
    call: Call
    cases: Sequence[Case]
    placement: str = ""
    filter_by: str = ""
    segments: Mapping[str, Mask] = field(default_factory=dict)


@dataclass(frozen=True)
class Categories:
    """The column that items are filtered by. holders[k] are the rows [n] of items that have value k; of[row] an item's values."""

    name: str
    values: Sequence[str]
    holders: Sequence[Ints]
    of: Sequence[Sequence[int]]


class Cases:
    """Users of a dataset whose last item is known; `seed` draws them. Raises `BadData` when nobody's is."""

    def __init__(
        self, dataset: Dataset, users: int, seed: int, *, placement: str, page_placement: str, category: str | None = None
    ) -> None:
        self.dataset = dataset
        self.log: Log = read_log(dataset)
        self.split: Split = split_by_time(self.log)
        self._rng = np.random.default_rng(seed)
        self.placement, self._page_placement = placement, page_placement
        self.targets: Ints = np.sort(self._rng.permutation(unseen_targets(self.log, self.split.test))[:users])
        if not len(self.targets):
            raise BadData(
                f"dataset {dataset.name}: no user has {FEWEST} interactions of which the last is a new item; import more"
            )
        self.item_ids: list[str] = dataset.items["item_id"].to_pylist()
        self.available: Mask = dataset.items["available"].to_numpy()
        self._categories = _categories(dataset, category)

    @cached_property
    def counts(self) -> NDArray[np.float32]:
        """How often each item was taken in what models train on, [N]."""
        return trained_counts(self.log, self.split)

    def history_positions(self, target: int) -> Ints:
        """Log positions of what a user did before a target, oldest first."""
        return np.arange(self.log.starts[self.log.user[target]], target)

    def questions(self) -> list[Question]:
        """Every question that the dataset can be asked."""
        home = self.placement
        known = [self._known(target) for target in self.targets.tolist()]
        strangers = [Case(target, self._id(target), ()) for target in self.targets.tolist()]
        return [
            Question("catalogue", "whole catalogue", "recommend", known, home, segments=self._segments()),
            Question("slate", f"RankItems, among {OTHERS}", "rank", [self._slate(case) for case in known]),
            *self._filtered(known, home),
            Question("page", "beside the newest item", "recommend", [self._page(case) for case in known], self._page_placement),
            Question("similar", "SimilarItems of it", "similar", [self._page(case) for case in known]),
            Question("no_history", "users without history", "recommend", strangers, home),
        ]

    def _known(self, target: int) -> Case:
        return Case(target, self._id(target), tuple(self._had(target)))

    def _had(self, target: int) -> list[str]:
        """The newest different items, as many as Banquet's views keep."""
        rows = self.log.item[self.history_positions(target)][::-1].tolist()
        return [self.item_ids[row] for row in [*dict.fromkeys(rows)][:HISTORY_LENGTH]]

    def _id(self, target: int) -> str:
        return self.item_ids[int(self.log.item[target])]

    def _slate(self, case: Case) -> Case:
        free = np.ones(self.log.n_items, np.bool_)
        free[self.log.item[self.history_positions(case.target)]] = False
        free[self.log.item[case.target]] = False
        others = self._rng.permutation(np.flatnonzero(free))[:OTHERS]
        rows = self._rng.permutation(np.append(others, self.log.item[case.target]))
        return replace(case, item_ids=tuple(self.item_ids[row] for row in rows.tolist()), allowed=rows)

    def _page(self, case: Case) -> Case:
        return replace(case, page_item=case.history[0])

    def _filtered(self, known: Sequence[Case], placement: str) -> list[Question]:
        """By the rarest category of the item taken, and by any of its categories, told apart by category."""
        categories = self._categories
        if categories is None:
            return []
        held = [(case, categories.of[self.log.item[case.target]]) for case in known]
        having = [(case, own) for case, own in held if own]
        if not having:
            return []
        rarest = [min(own, key=lambda value: len(categories.holders[value])) for _, own in having]
        drawn = [int(self._rng.choice(own)) for _, own in having]
        segments = {categories.values[value]: np.array(drawn) == value for value in sorted(set(drawn))}
        questions = []
        for name, title, chosen, parts in (
            ("filtered", "in its rarest category", rarest, {}),
            ("category", "in any of its categories", drawn, segments),
        ):
            cases = [
                replace(case, filter_value=categories.values[value], allowed=categories.holders[value])
                for (case, _), value in zip(having, chosen, strict=True)
            ]
            questions.append(Question(name, title, "recommend", cases, placement, categories.name, _of_enough(parts)))
        return questions

    def _segments(self) -> Mapping[str, Mask]:
        """Of the users: short and long histories, popular, rare and new targets."""
        lengths = self.targets - self.log.starts[self.log.user[self.targets]]
        taken = self.log.item[self.targets]
        popular = are_popular(self.counts)[taken]
        return _of_enough(
            {
                "short histories": lengths <= np.quantile(lengths, SHORT_SHARE),
                "long histories": lengths >= np.quantile(lengths, 1 - LONG_SHARE),
                "popular items": popular,
                "rare items": ~popular,
                "new items": self.counts[taken] == 0,
            }
        )


def _of_enough(segments: Mapping[str, Mask]) -> dict[str, Mask]:
    return {name: mask for name, mask in segments.items() if mask.sum() >= FEWEST_USERS}


def _categories(dataset: Dataset, wanted: str | None) -> Categories | None:
    """Of the column asked for, or else of the first list, or else of the first text with few values; None without any.

    A text that is another one for most items, such as an article number, is none of categories.
    """
    kinds = {name: dataset.items.schema.field(name).type for name in dataset.item_features}
    lists = [name for name, kind in kinds.items() if pa.types.is_list(kind)]
    texts = [name for name, kind in kinds.items() if pa.types.is_string(kind)]
    if wanted is not None and wanted not in (*lists, *texts):
        known = ", ".join((*lists, *texts)) or "none"
        raise BadSettings(f"--category {wanted!r} is no item feature of texts in dataset {dataset.name}; it has: {known}")
    most = min(MOST_CATEGORIES, len(dataset.items) // 2)
    few = [name for name in texts if 1 < len(pc.unique(dataset.items[name])) <= most]
    name = wanted or next(iter((*lists, *few)), None)
    if name is None:
        return None
    cells = dataset.items[name].to_pylist()
    held = [{value for value in (cell if isinstance(cell, list) else [cell]) if value} for cell in cells]
    values = sorted(set().union(*held))
    code = {value: number for number, value in enumerate(values)}
    of = [sorted(code[value] for value in own) for own in held]
    rows: list[list[int]] = [[] for _ in values]
    for row, own in enumerate(of):
        for value in own:
            rows[value].append(row)
    return Categories(name, values, [np.array(each, np.int64) for each in rows], of)
