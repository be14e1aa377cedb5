"""Anyone's interactions, users and items as parquet or CSV, their columns named by a mapping."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from banquet.core.errors import BadData, BadSettings
from banquet.training.datasets import columns
from banquet.training.datasets.files import read_csv, read_parquet
from banquet.training.datasets.source import Raw, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

ENDINGS = (".parquet", ".csv", ".csv.gz", ".tsv", ".tsv.gz")
# Columns of the other feature views and Feast's own: a feature of that name could not be told from them.
RESERVED = ("user_id", "item_id", "history", "interaction_count", "rating_count", "rating_mean", "event_timestamp", "created")
AS_TEXT = ("user_id", "item_id", "event_id", "event_type", "event_time", "value", "title")


@dataclass(frozen=True)
class Naming:
    """How the files name things: `names` canonical -> own; `lists` are canonical columns of several categories joined by '|'.

    `left_out` are columns of users and items that are no features.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    lists: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


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


def read_tabular(name: str, interactions: Path, users: Path | None, items: Path | None, naming: Naming) -> Raw:
    """Interactions need user_id, item_id and event_time; event_type, value and event_id are optional. Other columns are left out.

    Every other column of users and items is a feature.
    """
    events = _read(interactions, naming)
    known_users, known_items = (_read(file, naming) if file else None for file in (users, items))
    _refuse_unused(naming, events, known_users, known_items)
    return Raw(
        name,
        _interactions(events),
        _profiles(known_users, "user_id", naming) if known_users else None,
        _profiles(known_items, "item_id", naming) if known_items else None,
    )


def find(folder: Path, table: str) -> Path | None:
    """The file of a table in a folder, such as users.parquet or users.csv. Raises `BadData` when there are two."""
    found = [folder / f"{table}{ending}" for ending in ENDINGS if (folder / f"{table}{ending}").is_file()]
    if len(found) > 1:
        raise BadData(f"{folder}: both {found[0].name} and {found[1].name} are there; leave the one that is meant")
    return found[0] if found else None


def _read(file: Path, naming: Naming) -> Source:
    if not file.name.endswith(ENDINGS):
        raise BadData(f"{file}: not a kind of table that can be read; use {', '.join(ENDINGS)}")
    if file.suffix == ".parquet":
        return read_parquet(file, naming.names)
    return read_csv(file, (*AS_TEXT, *naming.lists), naming.names)


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


def _interactions(source: Source) -> Source:
    source.require("user_id", "item_id", "event_time")
    table = {
        "user_id": columns.ids(source, "user_id"),
        "item_id": columns.ids(source, "item_id"),
        "event_type": columns.event_types(source),
        "event_time": columns.times(source, "event_time"),
    }
    if "value" in source.table.column_names:
        table["value"] = columns.numbers(source, "value")
    if "event_id" in source.table.column_names:
        table["event_id"] = columns.ids(source, "event_id")
    return source.holding(pa.table(table))


def _profiles(source: Source, key: str, naming: Naming) -> Source:
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
        elif name in naming.lists and columns.is_text(source.table[name].type):
            table[name] = columns.split(source.table[name])
        elif name != key:
            table[name] = columns.feature(source, name)
    return source.holding(pa.table(table))
