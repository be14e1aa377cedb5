"""The release's item vectors, laid out by the rows of a catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from banquet.core.candidates import Rows, Scores
    from banquet.core.catalogue import Catalogue


# So many neighbours of an item are remembered, of so many items: looking through a million takes tens of milliseconds.
NEIGHBOURS = 2000
REMEMBERED = 2048
# Among so many items they are found before another thread would have begun.
FEW = 20_000


class ItemVectors:
    """Unit vectors by catalogue row, float32 [N, d]; zeros for items the release was not trained on."""

    def __init__(self, release: str, item_ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        self.release = release
        self._item_ids = item_ids
        self._unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        self._wanted = False

    def of(self, catalogue: Catalogue) -> NDArray[np.float32]:
        """Laid out once per catalogue, and again only when items came or went."""
        self._wanted = True
        return catalogue.once(("vectors", self.release), ["ids"], lambda: self._laid_out(catalogue))

    def near(self, catalogue: Catalogue, row: int) -> tuple[Rows, Scores]:
        """The `NEIGHBOURS` other items with the highest cosine to an item, and the cosines, best first.

        Remembered for as long as no items come or go; safe to call from any thread.
        """
        known = self.known(catalogue)
        found = known.get(row)
        if found is None:
            if len(known) >= REMEMBERED:
                known.clear()
            found = known[row] = self._near(catalogue, row, NEIGHBOURS)
        return found

    def known(self, catalogue: Catalogue) -> dict[int, tuple[Rows, Scores]]:
        """What `near` remembers, by row."""
        return catalogue.once(("near", self.release), ["ids"], dict[int, tuple["Rows", "Scores"]])

    def all_by_nearness(self, catalogue: Catalogue, row: int) -> tuple[Rows, Scores]:
        """As `near`, but every other item."""
        return self._near(catalogue, row, len(catalogue))

    def _near(self, catalogue: Catalogue, row: int, count: int) -> tuple[Rows, Scores]:
        vectors = self.of(catalogue)
        cosines = vectors @ vectors[row]
        cosines[row] = -np.inf
        count = min(count, len(cosines) - 1)
        nearest = np.argpartition(-cosines, max(count - 1, 0))[:count]
        rows: Rows = nearest[np.argsort(-cosines[nearest], kind="stable")].astype(np.int32)
        return rows, cosines[rows]

    def warm(self, catalogue: Catalogue) -> None:
        """Lay out a new version beforehand, if anyone ever asked for one."""
        if self._wanted:
            self.of(catalogue)

    def _laid_out(self, catalogue: Catalogue) -> NDArray[np.float32]:
        rows = catalogue.rows_of(self._item_ids)
        laid_out = np.zeros((len(catalogue), self._unit.shape[1]), np.float32)
        laid_out[rows[rows >= 0]] = self._unit[rows >= 0]
        return laid_out
