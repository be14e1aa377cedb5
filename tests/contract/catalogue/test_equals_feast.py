"""The catalogue says what Feast's SDK says, on every store it is built from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from banquet.features.catalogue.catalogue_builder import CatalogueBuilder
from banquet.features.catalogue.item_columns import NOT_FOUND, PRESENT
from banquet.features.catalogue.item_store import open_items
from banquet.features.project.layout import read_layout
from banquet.wire.catalogue_file import CatalogueFile, Column, read_catalogue
from tests.integration.features.world import ITEMS, ODD_ID, World, redis_world, sqlite_world

MISSING = {"category": "", "categories": []}


@pytest.fixture(params=[sqlite_world, redis_world])
def world(request: pytest.FixtureRequest) -> World:
    world: World = request.param()
    return world


@pytest.fixture
def catalogue(world: World, tmp_path: Path) -> Iterator[CatalogueFile]:
    items = open_items(world.repo)
    built = CatalogueBuilder(items, tmp_path).build(read_layout(world.catalogue))
    yield read_catalogue(tmp_path, built.version)
    items.close()


def asked_of_feast(world: World, catalogue: CatalogueFile) -> dict[tuple[str, str], Any]:
    """Feast's answer about every item of the catalogue: the vector of each (view, feature)."""
    layout = read_layout(world.catalogue)
    names = [(view.name, feature) for view in layout.items for feature in view.features]
    references = [f"{view}:{feature}" for view, feature in names]
    response = world.feast().get_online_features(references, {"item_id": catalogue.ids.to_list()}, full_feature_names=True).proto
    vectors = dict(zip(response.metadata.feature_names.val, response.results, strict=True))
    return {(view, feature): vectors[f"{view}__{feature}"] for view, feature in names}


def plain(column: Column, row: int) -> Any:
    if column.vocabulary is None:
        return column.values[row].item()
    if column.offsets is None:
        return column.vocabulary[int(column.values[row])] if column.values[row] >= 0 else None
    return [column.vocabulary[int(code)] for code in column.values[column.offsets[row] : column.offsets[row + 1]]]


def told(value: Any, column: Column) -> Any:
    """A value of Feast's as the column holds it: a missing number is NaN or zero, a missing list is empty."""
    field = value.WhichOneof("val")
    if field is None:
        if column.kind == "number":
            return np.nan if column.values.dtype.kind == "f" else column.values.dtype.type(0).item()
        return [] if column.kind == "categories" else None
    raw = getattr(value, field)
    return list(raw.val) if field.endswith("list_val") else raw


def test_ids_are_those_of_the_profiles_in_order(catalogue: CatalogueFile) -> None:
    """Text order, whatever the store's."""
    assert catalogue.ids.to_list() == sorted(ITEMS["item_id"])


def test_values_are_those_of_feast(world: World, catalogue: CatalogueFile) -> None:
    """Numbers, texts, lists, unicode, nulls and empty values, of every item and feature."""
    vectors = asked_of_feast(world, catalogue)
    assert {feature for _, feature in vectors} == set(catalogue.columns)
    for (view, feature), vector in vectors.items():
        column = catalogue.columns[feature]
        assert column.view == view
        found = [plain(column, row) for row in range(len(catalogue.ids))]
        expected = [told(value, column) for value in vector.values]
        np.testing.assert_equal(found, expected, err_msg=feature)


def test_event_times_are_those_of_feast(world: World, catalogue: CatalogueFile) -> None:
    """To the microsecond, 0 where there is none."""
    for (view, _), vector in asked_of_feast(world, catalogue).items():
        times = [time.ToMicroseconds() for time in vector.event_timestamps]
        assert catalogue.event_times_us[view].tolist() == times


def test_statuses_are_feasts_and_tell_absence_on_every_store(world: World, catalogue: CatalogueFile) -> None:
    """SQLite's NOT_FOUND. Feast on Redis says PRESENT of a row that is not there; the catalogue says NOT_FOUND."""
    for (view, _), vector in asked_of_feast(world, catalogue).items():
        statuses = [
            NOT_FOUND if time.ToMicroseconds() == 0 else status
            for status, time in zip(vector.statuses, vector.event_timestamps, strict=True)
        ]
        assert catalogue.statuses[view].tolist() == statuses
    absent = catalogue.statuses["item_activity"][catalogue.ids.to_list().index("i10")]
    assert (catalogue.statuses["item_activity"].max(), absent) == (NOT_FOUND, NOT_FOUND)
    assert set(catalogue.statuses["item_profile"].tolist()) == {PRESENT}


def test_a_pushed_item_is_in_the_next_build(world: World, catalogue: CatalogueFile, tmp_path: Path) -> None:
    """Counters follow the push source."""
    before = catalogue.columns["interaction_count"].values[catalogue.ids.to_list().index(ODD_ID)].item()
    world.push_item(ODD_ID, before + 1)
    items = open_items(world.repo)
    built = CatalogueBuilder(items, tmp_path).build(read_layout(world.catalogue))
    items.close()
    after = read_catalogue(tmp_path, built.version)
    assert after.columns["interaction_count"].values[after.ids.to_list().index(ODD_ID)] == before + 1
    # The world is everybody's: what Feast's offline store says of this item holds again.
    world.push_item(ODD_ID, before)
