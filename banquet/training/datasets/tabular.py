"""Anyone's interactions, users and items as tables, their columns named by a mapping."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from banquet.core.declared import VIEWS
from banquet.core.errors import BadData, BadSettings
from banquet.training.datasets import columns
from banquet.training.datasets.converting import is_text
from banquet.training.datasets.dataset import EVENT_TYPES
from banquet.training.datasets.lists import lists
from banquet.training.datasets.source import Raw, Source
from banquet.training.datasets.tables import read_table
from banquet.training.datasets.times import times
from banquet.training.datasets.typed import typed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from banquet.training.datasets.source import TextFormat

# Feast's own columns, and those of the other feature views: a feature of that name could not be told from them.
RESERVED = {
    *("user_id", "item_id", "event_timestamp", "created"),
    *(feature.name for view in VIEWS.values() for feature in view),
}


@dataclass(frozen=True)
class Naming:
    """How the files name things: `names` canonical -> own; `lists` are canonical columns of several categories each.

    `left_out` are columns of users and items that are no features. `event_types` are own -> Banquet's, or `ignore`.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    lists: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    event_types: Mapping[str, str] = field(default_factory=dict)


def parse_names(texts: Iterable[str]) -> dict[str, str]:
    """`user_id=visitor,item_id=sku` as canonical -> own. Raises `BadSettings` naming the part that is no pair."""
    names: dict[str, str] = {}
    for pair in (pair.strip() for text in texts for pair in text.split(",") if pair.strip()):
        name, equals, own = (part.strip() for part in pair.partition("="))
        if not (name and equals and own):
            raise BadSettings(f"--map {pair!r}: write it as name=column, such as user_id=visitor")
        if name in names:
            raise BadSettings(f"--map names {name!r} twice, {names[name]!r} and {own!r}; leave one")
        names[name] = own
    return names


def parse_event_types(texts: Iterable[str]) -> dict[str, str]:
    """`view=click,cart=click` as own -> Banquet's. Raises `BadSettings` naming the part that says nothing known."""
    meant: dict[str, str] = {}
    for pair in (pair.strip() for text in texts for pair in text.split(",") if pair.strip()):
        own, _, name = (part.strip() for part in pair.rpartition("="))
        if not own or name not in (*EVENT_TYPES, columns.IGNORED):
            known = ", ".join((*EVENT_TYPES, columns.IGNORED))
            raise BadSettings(f"--event-types {pair!r}: write it as yours=ours, such as view=click; ours are {known}")
        meant[own] = name
    return meant


def read_tabular(
    name: str, interactions: Path, users: Path | None, items: Path | None, naming: Naming, written: TextFormat
) -> Raw:
    """Interactions need user_id, item_id and event_time; event_type, value and event_id are optional. Other columns are left out.

    Every other column of users and items is a feature.
    """
    events = read_table(interactions, naming.names, written)
    known_users, known_items = (read_table(file, naming.names, written) if file else None for file in (users, items))
    _refuse_unused(naming, events, known_users, known_items)
    return Raw(
        name,
        _interactions(events, naming),
        _profiles(known_users, "user_id", naming, written) if known_users else None,
        _profiles(known_items, "item_id", naming, written) if known_items else None,
    )


def _refuse_unused(naming: Naming, *sources: Source | None) -> None:
    """A mapping that fits no file is a slip of the pen, not a wish."""
    read = [source for source in sources if source]
    for name, own in naming.names.items():
        if not any(source.names.get(name) == own for source in read):
            raise BadData(f"--map {name}={own}: no column {own!r} in {_listing(read)}; name one that is there")
    for option, names in (("--lists", naming.lists), ("--leave-out", naming.left_out)):
        for name in names:
            if not any(name in source.table.column_names for source in read):
                raise BadData(f"{option} {name}: no column {name!r} in {_listing(read)}; name one that is there")


def _listing(sources: Iterable[Source]) -> str:
    return "; ".join(
        f"{source.file} ({', '.join(source.names.get(name, name) for name in source.table.column_names)})" for source in sources
    )


def _interactions(source: Source, naming: Naming) -> Source:
    source.require("user_id", "item_id", "event_time")
    table = {
        "user_id": columns.ids(source, "user_id"),
        "item_id": columns.ids(source, "item_id"),
        "event_type": columns.event_types(source, naming.event_types),
        "event_time": times(source, "event_time"),
    }
    if "value" in source.table.column_names:
        table["value"] = columns.numbers(source, "value")
    if "event_id" in source.table.column_names:
        table["event_id"] = columns.ids(source, "event_id")
    events = source.holding(pa.table(table))
    return events.without(events.table["event_type"].is_null().to_numpy(), "events have types that --event-types ignores")


def _profiles(source: Source, key: str, naming: Naming, written: TextFormat) -> Source:
    source.require(key)
    names = [name for name in source.table.column_names if name not in naming.left_out]
    # All at once: a table that Feast wrote has many.
    if taken := [name for name in names if name in RESERVED and name != key]:
        own = ", ".join(repr(source.names.get(name, name)) for name in taken)
        raise BadData(
            f"{source.file}: columns {own} have names that Banquet's own tables use; rename them in the file, or leave them out:"
            f" --leave-out {','.join(taken)}"
        )
    table = {key: columns.ids(source, key)}
    for name in names:
        if name == "available" and key == "item_id":
            table[name] = columns.flags(source, name)
        elif name in naming.lists and is_text(source.table[name].type):
            table[name] = lists(source, name, written.list_separator)
        elif name != key:
            if source.written and name != "title":
                source = typed(source, name)
            table[name] = columns.feature(source, name)
    return source.holding(pa.table(table))
