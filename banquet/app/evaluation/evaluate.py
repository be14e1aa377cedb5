"""Offline evaluation of a release by what callers get: every question, beside popularity, Markov-1 and retrieval alone."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from banquet.app.evaluation.answering import Baselines, answers
from banquet.app.evaluation.cases import Cases
from banquet.app.evaluation.in_process import in_process
from banquet.app.evaluation.judging import judged, report
from banquet.app.evaluation.over_grpc import gateway_users, served_release
from banquet.core.errors import BadRelease, BadSettings
from banquet.releases import evaluations, registry
from banquet.releases.manifest import load
from banquet.training.served_features import as_trained

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from banquet.app.evaluation.answering import Answerer
    from banquet.app.evaluation.cases import Question
    from banquet.app.placements import PlacementSettings
    from banquet.training.datasets.dataset import Dataset
    from banquet.training.progress import Progress
    from banquet.wire.manifest_file import Manifest

IN_PROCESS, OVER_GRPC = "in process", "over gRPC"


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """What is evaluated: `users` drawn by `seed`; `placement` and `page_placement` are asked where a question needs one.

    `category` is the column that filters look at, by default the first list of texts.
    """

    users: int
    seed: int
    placement: str = "home"
    page_placement: str = "detail"
    category: str | None = None
    threads: int = 1

    def cases(self, dataset: Dataset) -> Cases:
        return Cases(
            dataset,
            self.users,
            self.seed,
            placement=self.placement,
            page_placement=self.page_placement,
            category=self.category,
        )


async def evaluate_release(
    plan: EvaluationPlan,
    dataset: Dataset,
    releases: Path,
    version: str | None,
    placements: Mapping[str, PlacementSettings],
    progress: Progress,
) -> dict[str, Any]:
    """A release of the folder, by default the one in force, in this process; kept beside it, unless one of more users is.

    Raises `BadData`, `BadRelease` or `BadSettings`.
    """
    began_s = time.monotonic()
    folder = registry.resolve(releases, version)
    cases = plan.cases(as_trained(dataset, _measurable(folder).schema))
    questions = _served(cases.questions(), placements)
    async with in_process(folder, cases, placements, plan.threads) as (ranked, alone):
        entries = await _judged(questions, Baselines(cases), ranked, alone, progress)
    body = report(
        entries,
        release=folder.name,
        dataset=dataset.name,
        how=IN_PROCESS,
        users=len(cases.targets),
        seed=plan.seed,
        took_s=time.monotonic() - began_s,
    )
    larger = evaluations.write_unless_smaller(releases, folder.name, body)
    return {**body, "users_of_the_one_kept": larger} if larger else body


async def evaluate_gateway(
    plan: EvaluationPlan,
    dataset: Dataset,
    releases: Path,
    address: str,
    placements: Mapping[str, PlacementSettings],
    progress: Progress,
) -> dict[str, Any]:
    """What a running gateway answers, asked over gRPC as evaluation users.

    Retrieval alone is measured in this process, where the release that the gateway serves lies in `releases`. Only there can it
    be known that a release was trained on everything, which is refused. Raises `banquet_client.ClientError`, `StageFailed`, and
    as `evaluate_release`.
    """
    began_s = time.monotonic()
    # Whatever cannot be asked is found out before anything is recorded.
    release = await served_release(address)
    is_here = release in registry.versions(releases)
    if is_here:
        dataset = as_trained(dataset, _measurable(releases / release).schema)
    cases = plan.cases(dataset)
    questions = _served(cases.questions(), placements)
    progress.begin("recording", len(cases.targets))
    recorded = 0

    def note(users: int) -> None:
        nonlocal recorded
        progress.advance(users - recorded)
        recorded = users

    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(gateway_users(address, cases, note))
        alone: Answerer | None = None
        if is_here:
            _, alone = await stack.enter_async_context(in_process(releases / release, cases, placements, plan.threads))
        entries = await _judged(questions, Baselines(cases), gateway, alone, progress)
    body = report(
        entries,
        release=release,
        dataset=dataset.name,
        how=OVER_GRPC,
        users=len(cases.targets),
        seed=plan.seed,
        took_s=time.monotonic() - began_s,
    )
    return {**body, "address": address, "degraded_answers": gateway.degraded}


def _measurable(folder: Path) -> Manifest:
    """A release's manifest. Raises `BadRelease` for a release, or what was made of one, that learned the items asked for."""
    manifest = load(folder)
    measured = manifest.metrics.get("refit_of")
    if measured:
        raise BadRelease(f"release {folder.name} has learned the very items that are asked for; evaluate {measured} instead")
    return manifest


def _served(questions: Sequence[Question], placements: Mapping[str, PlacementSettings]) -> list[Question]:
    """Those that can be asked; a placement that nobody serves cannot. Raises `BadSettings` when it is the main one."""
    main = questions[0].placement
    if main not in placements:
        raise BadSettings(f"--placement {main!r} is not in the placements file; it has: {', '.join(sorted(placements))}")
    return [question for question in questions if not question.placement or question.placement in placements]


async def _judged(
    questions: Sequence[Question], baselines: Baselines, ours: Answerer, alone: Answerer | None, progress: Progress
) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for question in questions:
        progress.begin(question.name, len(question.cases) * (1 if alone is None else 2))
        lists = {
            "banquet": await answers(ours, question, progress.advance),
            "popularity": baselines.popularity(question),
            "markov": baselines.markov(question),
            "retrieval": None if alone is None else await answers(alone, question, progress.advance),
        }
        entries += judged(question, lists)
        progress.note(f"NDCG@10 {entries[-1 - len(question.segments)]['banquet']['ndcg@10']:.4f}")
    return entries


def run(work: Any) -> dict[str, Any]:
    """An evaluation from code that does not await."""
    body: dict[str, Any] = asyncio.run(work)
    return body
