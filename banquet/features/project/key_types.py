"""The value types of the user's and the item's key in the layout in force: what an id must look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banquet.core.errors import StageFailed
from banquet.core.ids import KeyTypes
from banquet.features.project.layout import LayoutFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from banquet.features.project.layout import Layout, View


class PublishedKeyTypes:
    """Called, it gives the key types of the layout published in a folder; until there is one, every text is an id."""

    def __init__(self, folder: Path) -> None:
        self._file = LayoutFile(folder)
        self._layout: Layout | None = None
        self._types = KeyTypes()

    def __call__(self) -> KeyTypes:
        try:
            layout = self._file.current()
        except (StageFailed, OSError):
            # Whoever reads a user says what is wrong with the layout.
            return self._types
        if layout is not self._layout:
            self._layout, self._types = layout, key_types_of(layout)
        return self._types


def key_types_of(layout: Layout) -> KeyTypes:
    return KeyTypes(_own_type(layout.users), _own_type(layout.items))


def _own_type(views: Iterable[View]) -> str:
    """Of the join key that holds the id. Views of others, such as a shop, are read with the user and have none."""
    for view in views:
        for asked, kind in zip(view.asked, view.key_types, strict=True):
            if asked == view.own_key:
                return kind
    return KeyTypes().user
