"""The online store of a swap benchmark: as many items as wanted, in views that a release fits."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

from banquet.features.project.layout import LAYOUT_FILE, Layout
from bench.features.big_store import activity, item_id, text, texts, view_of, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from banquet.wire.schema import Feature, FeatureSchema
    from bench.features.big_store import BigSqlite, Cells

COLUMNS = 20
USERS = 200
HISTORY = 20
COUNTERS = {
    "interaction_count": "INT64",
    "rating_count": "INT64",
    "rating_mean": "FLOAT",
    "clicks_24h": "INT64",
    "clicks_7d": "INT64",
}
# What the gateway itself looks at.
USED = ("interaction_count",)
TYPES = {"category": "STRING", "categories": "STRING_LIST", "number": "DOUBLE"}


def fill(
    store: BigSqlite,
    layout: Layout,
    schema: FeatureSchema,
    items: int,
    catalogue: Path,
    histories: Callable[[int], list[int]] | None = None,
) -> None:
    """Items i0.. and users u0.. with histories (of any items, unless told), and the layout that says how they lie."""
    draw = random.Random(7)
    catalogue.mkdir(parents=True)
    (catalogue / LAYOUT_FILE).write_text(layout.to_json())
    known = {feature.name: feature for feature in (*schema.item, *schema.user)}
    profile = layout.items[0]
    store.write(profile.name, ((item_id(number), _cells(draw, profile.features, known, number)) for number in range(items)))
    counters = layout.items[1].features
    counts = ({name: cell for name, cell in activity(draw.randrange(1000)).items() if name in counters} for _ in range(items))
    store.write("item_activity", ((item_id(number), cells) for number, cells in enumerate(counts)))
    for view in layout.users:
        rows = [(f"u{number}", _cells(draw, view.features, known, number)) for number in range(USERS)]
        store.write(view.name, iter(rows))
    of_user = histories or (lambda _: [draw.randrange(items) for _ in range(HISTORY)])
    store.write("user_activity", ((f"u{n}", {"history": texts([item_id(item) for item in of_user(n)])}) for n in range(USERS)))
    store.share()


def layout_of(schema: FeatureSchema, columns: int = COLUMNS) -> Layout:
    """Views that a release fits, with other columns up to so many."""
    profile = {"available": "BOOL"}
    profile |= {feature.name: TYPES[feature.kind] for feature in schema.item if feature.view == "item_profile"}
    counters = COUNTERS if columns else {name: COUNTERS[name] for name in COUNTERS if name in USED or _takes(schema, name)}
    spare = max(0, columns - len(profile) - len(counters) - 1)
    profile |= {f"number_{number}": "DOUBLE" for number in range(spare)} | ({"title": "STRING"} if columns else {})
    users = {view: {f.name: TYPES[f.kind] for f in schema.user if f.view == view} for view in ("user_profile", "user_activity")}
    users["user_activity"] |= {"history": "STRING_LIST"}
    items = {"item_profile": profile, "item_activity": counters}
    user_views, item_views = (tuple(view_of(name, features) for name, features in its.items()) for its in (users, items))
    return Layout("banquet", "", user_views, item_views)


def _takes(schema: FeatureSchema, name: str) -> bool:
    return any(feature.name == name for feature in schema.item)


def _cells(draw: random.Random, features: Mapping[str, str], known: dict[str, Feature], number: int) -> Cells:
    return {name: _cell(draw, kind, known.get(name), number) for name, kind in features.items() if name != "history"}


def _cell(draw: random.Random, kind: str, feature: Feature | None, number: int) -> bytes:
    words = list(feature.vocabulary) if feature is not None and feature.vocabulary else []
    match kind:
        case "BOOL":
            return b"\x38\x01"
        case "STRING":
            return text(draw.choice(words) if words else f"Item number {number}")
        case "STRING_LIST":
            return texts(draw.sample(words, min(2, len(words))))
        case "INT64":
            return whole(draw.randrange(1000))
        case _:
            return b"\x29" + struct.pack("<d", draw.random() * 10)
