"""Puts a user's cells together: from what the store holds under a view and a feature to one `UserFeatures`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banquet.core.errors import StageFailed
from banquet.core.query import UserFeatures
from banquet.features.encoding import BadValue, decode
from banquet.features.layout import HISTORY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from banquet.features.layout import Layout

Cell = tuple[str, bytes | None]


class UserRows:
    """The shape of a user's row in one layout: its views, its features and how keys are written."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.views = tuple(view for view in layout.users if not view.computed)
        if len({(view.join_keys, view.key_types) for view in self.views}) > 1:
            raise StageFailed("unavailable", f"the views {', '.join(view.name for view in self.views)} have different entities")
        self.keys = self.views[0].keys()
        self._blank = {name: None for view in self.views for name in view.features if name != HISTORY}

    def row(self, user_id: str, cells: Iterable[Cell], *, found: bool) -> UserFeatures | StageFailed:
        """A row from (feature, stored value); features without a cell and stored nulls are None."""
        values: dict[str, object] = dict(self._blank)
        history: tuple[str, ...] = ()
        try:
            for name, blob in cells:
                if blob and name in values:
                    values[name] = decode(blob)
                elif blob and name == HISTORY:
                    history = _texts(decode(blob))
        except BadValue as error:
            return StageFailed("bad_value", f"user {user_id!r}, feature {name!r}: {error}")
        return UserFeatures(user_id, values, history, found)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise BadValue(f"history is no list but {value!r}")
    return tuple(str(item) for item in value)
