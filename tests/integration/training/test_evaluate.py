"""A release evaluated in this process: its real handlers behind the gateway's pipelines."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from banquet.app.evaluation.evaluate import EvaluationPlan, evaluate_gateway, evaluate_release
from banquet.app.evaluation.in_process import in_process
from banquet.app.evaluation.tables import warnings_of
from banquet.app.placements import PlacementSettings, read_placements
from banquet.app.settings import read_settings
from banquet.core.errors import BadRelease, BadSettings
from banquet.releases import evaluations, manifest, registry
from banquet.training.datasets.dataset import Dataset
from banquet.training.optimize.optimize import Wanted, optimize
from banquet.training.progress import Progress
from banquet.training.train import TrainingOrder, refit
from tests.contract.client.gateway import FakeGateway

PLACEMENTS = read_placements(read_settings().placements_file)
PLAN = EvaluationPlan(users=150, seed=3)


@pytest.fixture(scope="module")
def dataset(data) -> Dataset:
    return Dataset.load(data)


@pytest.fixture
def releases(release, tmp_path):
    shutil.copytree(release, tmp_path / release.name)
    return tmp_path


async def evaluated(dataset, releases, version, plan=PLAN):
    return await evaluate_release(plan, dataset, releases, version, PLACEMENTS, Progress())


async def test_planted_tastes_are_found_in_every_way_of_asking(dataset, release, releases) -> None:
    """Better than popularity wherever the user is known, no worse than retrieval alone, and kept beside the release."""
    body = await evaluated(dataset, releases, release.name)
    entries = {entry["name"]: entry for entry in body["questions"]}
    for question in ("catalogue", "slate", "filtered", "category", "page", "similar"):
        assert entries[question]["banquet"]["ndcg@10"] > entries[question]["popularity"]["ndcg@10"], question
    for question in ("catalogue", "slate", "filtered", "page", "no_history"):
        assert entries[question]["against_retrieval"]["high"] > 0 or entries[question]["against_retrieval"]["mean"] == 0, question
    assert not any(entry["worse_than_popularity"] for entry in body["questions"])
    kept = json.loads((releases / "evaluations" / f"{release.name}.json").read_text())
    assert kept == body


async def test_a_smaller_evaluation_does_not_replace_a_larger_one(dataset, release, releases) -> None:
    """Thirty users cannot lift what a hundred and fifty found; it is said that they were not kept."""
    larger = await evaluated(dataset, releases, release.name)
    smaller = await evaluated(dataset, releases, release.name, EvaluationPlan(30, 3))
    assert smaller["users_of_the_one_kept"] == larger["users"]
    assert list(warnings_of(smaller))[-1].startswith(f"not kept, since an evaluation of {larger['users']} users is")
    assert evaluations.read(releases, release.name)["users"] == larger["users"]
    (releases / "evaluations" / f"{release.name}.json").write_text("{")
    await evaluated(dataset, releases, release.name, EvaluationPlan(30, 3))
    assert evaluations.read(releases, release.name)["users"] == 30


async def test_what_home_puts_first_is_first_among_the_callers_own(dataset, release) -> None:
    """The same candidates get the same order, however they came: by retrieval, or from the caller."""
    cases = PLAN.cases(dataset)
    async with in_process(release, cases, PLACEMENTS, 1) as (ranked, _):
        whole = cases.questions()[0]
        for case in whole.cases[:20]:
            shown = list(await ranked.answer(whole, case))
            own = replace(whole, name="slate", call="rank")
            again = await ranked.answer(own, replace(case, item_ids=tuple(sorted(shown))))
            assert list(again) == shown


async def test_retrieval_alone_is_the_order_that_retrieval_gives(dataset, release) -> None:
    """On the way of ranking, with ranking left out of every question, and on one without any scorer: the same lists."""
    cases = PLAN.cases(dataset)
    unscored = PlacementSettings(sources=[{"kind": "retrieval"}])
    async with in_process(release, cases, {**PLACEMENTS, "unscored": unscored}, 1) as (_, alone):
        whole, *_ = cases.questions()
        for case in whole.cases[:30]:
            assert await alone.answer(whole, case) == await alone.answer(replace(whole, placement="unscored"), case)


async def test_a_refitted_release_is_served_and_not_evaluated(data, dataset, release, releases) -> None:
    """It knows what training held back, and so the very answers; its metrics are those of the one that was measured."""
    again = refit(TrainingOrder(data, releases, threads=1), release)
    made = manifest.verify(again)
    assert registry.current(releases) == again.name != release.name
    assert made.metrics["refit_of"] == release.name
    assert made.metrics["retrieval"] == manifest.load(release).metrics["retrieval"]
    assert set(manifest.load(release).schema.item_ids) <= set(made.schema.item_ids)
    with pytest.raises(BadRelease, match=f"evaluate {release.name} instead"):
        await evaluated(dataset, releases, again.name)
    smaller = optimize(data, releases, again.name, Wanted(quantize="int8"), threads=1)
    with pytest.raises(BadRelease, match=f"{smaller.name} has learned .* evaluate {release.name} instead"):
        await evaluated(dataset, releases, smaller.name)
    with FakeGateway() as serving:
        serving.named = again.name
        with pytest.raises(BadRelease, match=f"evaluate {release.name} instead"):
            await evaluate_gateway(PLAN, dataset, releases, serving.address, PLACEMENTS, Progress())
        assert set(serving.calls) == {"GetStatus"}


async def test_a_placement_that_nobody_serves_is_named(dataset, release, releases) -> None:
    """Before anything is loaded; a page that nobody serves only costs its question."""
    with pytest.raises(BadSettings, match="--placement 'shelf' is not in the placements file; it has: detail, home"):
        await evaluated(dataset, releases, release.name, EvaluationPlan(20, 3, placement="shelf"))
    body = await evaluated(dataset, releases, release.name, EvaluationPlan(20, 3, page_placement="shelf"))
    assert "page" not in [entry["name"] for entry in body["questions"]]
