"""Users of a project that uses everything Feast has: read as the pipeline reads them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from banquet.core.errors import BadSettings
from banquet.features.project.definitions import Projection
from banquet.features.project.feast_job import publish_layout
from banquet.features.project.registry import definitions_of
from banquet.features.project.registry_layout import layout_of
from banquet.features.users.joined import JoinedUserReader
from banquet.features.users.opening import open_user_reader
from tests.integration.features.rich import FULL, Rich, rich

CONTEXT = {"shop_id": "north", "current_shop": "south", "hour": "5"}


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rich]:
    made = rich(request.param, tmp_path_factory.mktemp("users") / request.param)
    publish_layout(made.repo, made.repo.folder / "catalogue")
    yield made
    rich.cache_clear()


def opened(project: Rich, mode: str) -> JoinedUserReader:
    return open_user_reader(project.repo, project.repo.folder / "catalogue", 30.0, mode, {"home_shop": "north"})


@pytest.fixture
async def reader(project: Rich) -> AsyncIterator[JoinedUserReader]:
    reader = opened(project, "feast")
    yield reader
    await reader.aclose()


async def test_everything_that_is_known_of_a_user(reader: JoinedUserReader) -> None:
    """Whole-number ids, composite keys from the context and its defaults, aliases, on-demand views in both modes."""
    user = await reader.read("7", CONTEXT)
    assert user.history == ("i2", "i1")
    assert {name: user.values[name] for name in ("count", "text", "whole", "reals", "spent", "late", "per_visit", "rain")} == {
        "count": 3,
        "text": FULL["text"],
        "whole": 2**53 + 1,
        "reals": [-0.0, -0.0],
        "spent": 2.5,
        "late": 305,
        "per_visit": 2.5,
        "rain": 0.5,
    }
    assert (user.values["here__visits"], user.values["home__visits"]) == (1, 4)
    assert (user.found, user.notes, user.statuses["here"]) == (True, (), "PRESENT")
    assert user.age_s["home"] > user.age_s["here"] > 0


async def test_a_context_that_is_silent_costs_its_views_alone(reader: JoinedUserReader) -> None:
    """What has no key is not found; the rest of the user is there."""
    user = await reader.read("7", {"hour": "1"})
    assert (user.found, user.values["count"], user.values["home__visits"]) == (True, 3, 4)
    assert (user.statuses["here"], user.values["spent"], user.values["rain"]) == ("NOT_FOUND", None, None)


async def test_code_that_fails_costs_its_features_and_is_said(reader: JoinedUserReader) -> None:
    """The view's own error, here for want of an hour."""
    reads = (reader.read("7", context) for context in (CONTEXT, {"hour": "noon"}, {"shop_id": "north"}, {"hour": "4"}))
    first, *_, user, other = await asyncio.gather(*reads)
    assert user.notes == ("not_computed",)
    assert (user.values["late"], user.values["count"]) == (None, 3)
    assert (first.values["late"], other.values["late"], other.notes) == (305, 304, ())


async def test_ids_that_the_key_cannot_hold_are_unknown(reader: JoinedUserReader) -> None:
    """Nobody is called `seven` where ids are numbers."""
    user = await reader.read("seven", CONTEXT)
    assert (user.found, user.notes) == (False, ())


async def test_strict_leaves_out_what_is_too_old(project: Rich) -> None:
    """As training does, whose joins end at the ttl; the answer will say so."""
    reader = opened(project, "strict")
    user = await reader.read("7", CONTEXT)
    await reader.aclose()
    assert (user.statuses["home"], user.values["home__visits"], user.notes) == ("OUTSIDE_MAX_AGE", None, ("outside_max_age",))
    assert user.values["count"] == 3


def test_views_that_mix_users_and_items_are_refused_by_name(project: Rich) -> None:
    """On-demand views and joint keys alike, with what to do about it; request data cannot make item features."""
    definitions = definitions_of(project.feast)
    user, item = Projection("activity", "activity", ("history",)), Projection("item_profile", "item_profile", ("count",))
    for view, words in (
        ({"sources": (user, item)}, "on-demand view 'in_python' mixes features of the user and of the item"),
        ({"sources": (item,)}, r"on-demand view 'in_python' computes item features from request data \(hour\)"),
        (
            {"sources": (item,), "request": {}},
            r"on-demand view 'in_python' computes item features.*to a view of its own",
        ),
    ):
        computed = definitions.computed | {"in_python": replace(definitions.computed["in_python"], **view)}
        changed = replace(definitions, computed=computed)
        with pytest.raises(BadSettings, match=words):
            layout_of(changed, "")
    with pytest.raises(BadSettings, match=r"view 'at_shop' is of a user and an item together.*split it"):
        layout_of(replace(definitions, own_keys=definitions.own_keys | {"item": "shop_id"}), "")


def test_without_services_all_views_of_users_and_items_are_served(project: Rich) -> None:
    """Those of their keys alone; the entities may have other names, if their tags say who they are."""
    definitions = definitions_of(project.feast)
    keys = {"customer": "user_id", "product": "item_id"}
    bare = replace(definitions, services={}, own_keys=keys)
    with pytest.raises(BadSettings, match=r"has no entity 'user'.*tag banquet=user"):
        layout_of(bare, "")
    layout = layout_of(replace(bare, own_keys=keys | {"user": "user_id", "item": "item_id"}), "")
    assert {view.name for view in layout.users} == {"activity", "every_type"}
    assert [view.name for view in layout.items] == ["item_profile"]


def test_two_item_views_that_say_what_is_available_are_refused(project: Rich) -> None:
    """Under the views' names neither would withdraw anything; of users the name means nothing."""
    definitions = definitions_of(project.feast)
    user, item = definitions.views["activity"], definitions.views["item_profile"]
    stock = replace(item, name="stock", features={"available": "BOOL"})
    twice = {"item_profile": replace(item, features=item.features | {"available": "STRING"}), "stock": stock}
    own_keys = {"user": "user_id", "item": "item_id"}
    told = replace(definitions, services={}, own_keys=own_keys, views=definitions.views | twice)
    with pytest.raises(BadSettings, match=r"views item_profile and stock of the item each have a feature 'available'.*leave it"):
        layout_of(told, "")
    asked = (("activity", "history"), ("item_profile", "count"), ("stock", "available"))
    services = {"ranking": tuple(Projection(view, view, (feature,)) for view, feature in asked)}
    assert [view.renames for view in layout_of(replace(told, services=services), "").items] == [{}, {}]
    seats = {name: replace(user, name=name, features=user.features | {"available": "BOOL"}) for name in ("activity", "seats")}
    seats["seats"] = replace(seats["seats"], features={"available": "BOOL"})
    users = layout_of(replace(definitions, services={}, own_keys=own_keys, views=definitions.views | seats), "").users
    assert {view.renames.get("available") for view in users} == {"activity__available", "seats__available", None}


def test_a_project_without_a_history_is_told_what_to_add(project: Rich) -> None:
    """The one feature that the models cannot do without."""
    asked = (Projection("every_type", "every_type", ("text",)), Projection("item_profile", "item_profile", ("count",)))
    definitions = replace(definitions_of(project.feast), services={"ranking": asked})
    with pytest.raises(BadSettings, match=r"no user view has a feature 'history' that is a list.*Array\(String\)"):
        layout_of(definitions, "")
