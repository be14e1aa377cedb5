"""What ids must look like, by the layout in force."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from banquet.core.ids import KeyTypes
from banquet.features.project import layout as module
from banquet.features.project.key_types import PublishedKeyTypes, key_types_of
from banquet.features.project.layout import LAYOUT_FILE, Layout, View
from tests.unit.features.feast_bytes import LAYOUT

SHOP = View("shop", "shop", "user", ("shop_id",), ("STRING",), {"open": "BOOL"})
OWN = View(
    *("visits", "visits", "user", ("shop_id", "customer_id"), ("STRING", "INT64"), {"visits": "INT64"}), own_key="customer_id"
)
MAPPED = replace(OWN, join_keys=("id",), key_types=("INT32",), asked_keys={"id": "customer_id"})
ITEMS = (View("products", "products", "item", ("product_id",), ("INT32",), {"price": "FLOAT"}, own_key="product_id"),)


def layout(*users: View) -> Layout:
    return Layout("p", "r", users, ITEMS)


def test_the_types_are_those_of_the_own_keys() -> None:
    """In keys of several parts and under other names, whatever the keys of others that are read along."""
    assert key_types_of(layout(OWN)) == KeyTypes("INT64", "INT32")
    assert key_types_of(layout(MAPPED)) == KeyTypes("INT32", "INT32")
    assert key_types_of(layout(SHOP, OWN)).user == "INT64"
    assert key_types_of(LAYOUT) == KeyTypes()


def test_they_follow_the_published_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until there is one, every text is an id."""
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.0)
    keys = PublishedKeyTypes(tmp_path)
    assert keys() == KeyTypes()
    (tmp_path / LAYOUT_FILE).write_text(layout(OWN).to_json())
    assert keys() == KeyTypes("INT64", "INT32")
    (tmp_path / LAYOUT_FILE).write_text(LAYOUT.to_json())
    os.utime(tmp_path / LAYOUT_FILE, ns=(1, 1))
    assert keys() == KeyTypes()
