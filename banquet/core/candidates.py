"""The items under consideration, as columns in step with each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Rows: TypeAlias = NDArray[np.int32]
Scores: TypeAlias = NDArray[np.float32]
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Candidates:
    """C items. `rows` int32 [C] in the query's catalogue; `scores` float32 [C] as their source gave them; `sources` int8 [C],
    positions in `source_names`; `ranking` float32 [C], NaN where the ranking model has not been asked.

    `user_vector` float32 [M * d] is the retrieval model's picture of the user, of M vectors, which the ranking model takes, too.
    """

    rows: Rows
    scores: Scores
    sources: NDArray[np.int8]
    source_names: tuple[str, ...]
    ranking: Scores
    user_vector: Scores | None = None

    @classmethod
    def of(
        cls, source: str, rows: Rows, scores: Scores, *, ranking: Scores | None = None, user_vector: Scores | None = None
    ) -> Candidates:
        unranked = np.full(len(rows), np.nan, np.float32)
        marks = np.zeros(len(rows), np.int8)
        return cls(rows, scores, marks, (source,), unranked if ranking is None else ranking, user_vector)

    @classmethod
    def none(cls) -> Candidates:
        return cls.of("", np.empty(0, np.int32), np.empty(0, np.float32))

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, picks: Mask | NDArray[np.intp]) -> Candidates:
        """Those at the positions (or where the mask holds), in that order."""
        return Candidates(
            self.rows[picks],
            self.scores[picks],
            self.sources[picks],
            self.source_names,
            self.ranking[picks],
            self.user_vector,
        )

    def ranked(self, ranking: Scores) -> Candidates:
        return replace(self, ranking=ranking)

    def source_of(self, position: int) -> str:
        return self.source_names[int(self.sources[position])]

    def in_order(self, most: int | None = None) -> NDArray[np.intp]:
        """Positions, best first, all or so many: by ranking score, then those without one in the order they came."""
        keys = np.where(np.isnan(self.ranking), np.inf, -self.ranking)
        if most is None or most >= len(keys):
            return np.argsort(keys, kind="stable")
        among = np.flatnonzero(keys <= np.partition(keys, most)[most])
        return among[np.argsort(keys[among], kind="stable")[:most]]


def joined(parts: Sequence[Candidates]) -> Candidates:
    """One after the other; the first user vector stays."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return Candidates.none()
    if len(parts) == 1:
        return parts[0]
    names: tuple[str, ...] = sum((part.source_names for part in parts), ())
    starts = np.cumsum([0] + [len(part.source_names) for part in parts[:-1]]).tolist()
    return Candidates(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.sources + np.int8(start) for part, start in zip(parts, starts, strict=True)]),
        names,
        np.concatenate([part.ranking for part in parts]),
        next((part.user_vector for part in parts if part.user_vector is not None), None),
    )
