"""The general reader beside Feast's own answers, on a project that uses everything."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from feast.protos.feast.types.Value_pb2 import Value

from banquet.core.errors import BadData
from banquet.features.online.on_demand import OnDemandViews
from banquet.features.online.reader import OnlineReader
from banquet.features.project.registry import definitions_of
from banquet.features.stores.generic import FeastCells
from banquet.features.users.opening import open_cells
from tests.integration.features.rich import AT, LONG_AGO, ROWS, Rich, rich

SHOPS = {"shop_id": "north", "current_shop": "south", "home_shop": "north"}
ROW = {"user_id": 7, "item_id": "i1", "hour": 5, **SHOPS}
UNKNOWN = {"user_id": 99, "item_id": "i9", "hour": 6, **dict.fromkeys(SHOPS, "west")}
NULLS = ROW | {"user_id": 8, "shop_id": "south", "current_shop": "west"}


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rich]:
    yield rich(request.param, tmp_path_factory.mktemp("rich") / request.param)
    rich.cache_clear()


@pytest.fixture
async def reader(project: Rich) -> AsyncIterator[OnlineReader]:
    reader = OnlineReader(definitions_of(project.feast), open_cells(project.repo), OnDemandViews(project.repo))
    yield reader
    await reader.aclose()


async def equal(
    project: Rich, reader: OnlineReader, asked: str | list[str], rows: list[dict[str, object]], **options: bool
) -> None:
    """Values, statuses and times are the SDK's."""
    features = project.feast.get_feature_service(asked) if isinstance(asked, str) else asked
    proto = project.feast.get_online_features(features, rows, full_feature_names=bool(options.get("full_names"))).proto
    keys = rows[0].keys()
    theirs = {
        name: (list(result.values), list(result.statuses), [time.ToMicroseconds() for time in result.event_timestamps])
        for name, result in zip(proto.metadata.feature_names.val, proto.results, strict=True)
        if name not in keys
    }
    columns = await reader.read(asked, rows, **options)
    ours = {name: ([Value.FromString(blob) for blob in it.blobs], it.statuses, it.times_us) for name, it in columns.items()}
    assert ours == theirs


@pytest.mark.parametrize(
    "asked",
    [
        ["activity:history", "every_type:text"],
        [f"every_type:{name}" for name in ROWS["every_type"][0][1]],
        ["at_shop:visits"],
        ["globe:spin"],
        ["shop_weather:rain", "shop_weather:wind"],
        ["in_python:late"],
        ["in_pandas:per_visit", "at_shop:spent"],
    ],
    ids=lambda asked: asked[0],
)
async def test_references_answer_as_the_sdk_does(project: Rich, reader: OnlineReader, asked: list[str]) -> None:
    """Every type, composite keys, views without entities, on-demand views in both modes; known, unknown, null and twice."""
    rows = [ROW, UNKNOWN, NULLS, ROW]
    if asked == ["in_pandas:per_visit", "at_shop:spent"]:
        rows = [ROW, ROW | {"shop_id": "south"}]
    wanted = {name for name in ROW if any(name in part for part in _keys(reader, asked))}
    await equal(project, reader, asked, [{name: row[name] for name in row if name in wanted} or {"user_id": 1} for row in rows])


def _keys(reader: OnlineReader, asked: list[str]) -> list[list[str]]:
    plan = reader._plan(asked, "feast")
    return [list(plan.keys), list(plan.request)]


async def test_a_feature_service_answers_as_the_sdk_does(project: Rich, reader: OnlineReader) -> None:
    """With aliased views, mapped join keys and on-demand views among stored ones."""
    await equal(project, reader, "ranking", [ROW, ROW | {"shop_id": "south", "hour": 1}], full_names=True)


async def test_a_mapped_key_under_both_names_is_read_as_the_sdk_reads_it(project: Rich, reader: OnlineReader) -> None:
    """The SDK takes whichever comes last; strict takes what the service says."""
    row = {
        "current_shop": "south",
        "home_shop": "south",
        **{name: ROW[name] for name in ROW if name not in SHOPS},
        "shop_id": "north",
    }
    await equal(project, reader, "ranking", [row], full_names=True)
    columns = [await reader.read("ranking", [row], mode, full_names=True) for mode in ("feast", "strict")]
    assert [its["here__visits"].values for its in columns] == [[4], [1]]


async def test_strict_reads_the_current_version_of_a_service_too(reader: OnlineReader) -> None:
    """The SDK goes back to the first one there, which nothing writes any more."""
    columns = [await reader.read("ranking", [ROW], mode, full_names=True) for mode in ("feast", "strict")]
    assert [its["shop_weather__rain"].values for its in columns] == [[0.25], [0.5]]


async def test_any_store_is_read_through_feast_too(project: Rich) -> None:
    """By Feast's own reading of a store, with all its keys and versions."""
    reader = OnlineReader(definitions_of(project.feast), FeastCells(project.repo), OnDemandViews(project.repo))
    await equal(project, reader, "ranking", [ROW, ROW | {"shop_id": "south"}], full_names=True)
    await equal(project, reader, ["activity:count", "every_type:texts"], [{"user_id": 7}, {"user_id": 99}, {"user_id": 8}])
    await equal(project, reader, ["shop_weather@v0:rain", "shop_weather@v1:wind"], [{"shop_id": "north"}], full_names=True)
    await reader.aclose()


async def test_versions_are_read_apart(project: Rich, reader: OnlineReader) -> None:
    """`view@v0` is what the older definition wrote."""
    asked = ["shop_weather@v0:rain", "shop_weather@v1:wind", "shop_weather@v1:rain"]
    await equal(project, reader, asked, [{"shop_id": "north"}, {"shop_id": "west"}], full_names=True)


async def test_strict_says_what_is_too_old_and_what_is_not_there(reader: OnlineReader) -> None:
    """By the rule of Feast's Go server; the value stays, its age is told, and Redis is no longer believed."""
    rows = [{"user_id": 7, "shop_id": "north"}, {"user_id": 7, "shop_id": "west"}]
    columns = await reader.read(["at_shop:visits", "activity:count"], rows, mode="strict")
    assert columns["visits"].statuses == [4, 3]
    assert columns["visits"].values == [4, None]
    assert columns["visits"].ages_s(AT.timestamp())[0] == pytest.approx((AT - LONG_AGO).total_seconds(), abs=1)
    assert columns["count"].statuses == [1, 1]


@pytest.mark.parametrize(
    ("asked", "row", "words"),
    [
        ("nothing", {}, "no feature service 'nothing'"),
        (["nothing:x"], {}, "no feature view 'nothing'"),
        (["activity:x"], {}, "no feature 'x'"),
        (["activity"], {}, "view:feature"),
        (["activity:count"], {}, "no 'user_id'"),
        (["activity:count"], {"user_id": "x"}, "does not fit"),
        (["activity:count", "item_profile:count"], {"user_id": 1, "item_id": "1"}, "full_names"),
        (["in_python:late"], {"user_id": 1}, "no 'hour'"),
    ],
)
async def test_what_cannot_be_read_is_named(
    reader: OnlineReader, asked: str | list[str], row: dict[str, object], words: str
) -> None:
    """The thing, what is wrong with it, what there is."""
    with pytest.raises(BadData, match=words):
        await reader.read(asked, [row])


async def test_definitions_survive_their_file(project: Rich) -> None:
    """What is published is what is read."""
    definitions = definitions_of(project.feast)
    assert type(definitions).from_json(definitions.to_json()) == definitions


def test_a_definition_without_on_demand_views_needs_no_feast(project: Rich, tmp_path: Path) -> None:
    """Opening such a reader imports nothing heavy."""
    definitions = replace(definitions_of(project.feast), computed={})
    (tmp_path / "definitions.json").write_text(definitions.to_json())
    assert OnlineReader.open(project.repo, tmp_path)._views is None
