"""The release's item vectors, laid out by the rows of a catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from banquet.core.catalogue import Catalogue


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

    def warm(self, catalogue: Catalogue) -> None:
        """Lay out a new version beforehand, if anyone ever asked for one."""
        if self._wanted:
            self.of(catalogue)

    def _laid_out(self, catalogue: Catalogue) -> NDArray[np.float32]:
        rows = catalogue.rows_of(self._item_ids)
        laid_out = np.zeros((len(catalogue), self._unit.shape[1]), np.float32)
        laid_out[rows[rows >= 0]] = self._unit[rows >= 0]
        return laid_out
