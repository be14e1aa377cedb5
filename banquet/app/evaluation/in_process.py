"""A release answering in this very process: its handlers behind the gateway's pipelines, on a catalogue made of the dataset."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from banquet.app.live_release import MODEL_FAILURES
from banquet.app.stages import Stages
from banquet.app.wiring import read_release
from banquet.core.catalogue import Catalogue
from banquet.core.deadline import Deadline
from banquet.core.errors import BadRelease
from banquet.core.query import AttributeFilter, Query, UserFeatures
from banquet.core.questions import QUESTIONS
from banquet.inference.batcher import Batcher
from banquet.inference.inprocess import InProcess
from banquet.training.columns import COUNTED, item_columns
from banquet.training.evaluate import TOP
from banquet.training.split import is_trained_on
from banquet.wire.catalogue_file import Column, read_catalogue, write_catalogue
from banquet.wire.manifest_file import BadManifest
from banquet.wire.schema import SchemaMismatch
from handlers.engines.engine import EngineFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from banquet.app.evaluation.cases import Case, Cases, Question
    from banquet.app.placements import PlacementSettings
    from banquet.core.pipeline import Pipeline

# Nothing is urgent here: what is measured is what the models say.
PATIENCE_S = 60.0
VIEWS = ("item_profile", "item_activity")


@dataclass(frozen=True)
class InProcessRelease:
    """Answers cases with a release, as the gateway would; or by its retrieval model's scores `alone`, without ranking."""

    catalogue: Catalogue
    users: CaseUsers
    placements: Mapping[str, Pipeline]
    rank: Pipeline
    similar: Pipeline

    async def answer(self, question: Question, case: Case) -> Sequence[str]:
        query = Query(
            request_id=f"{question.name}-{case.target}",
            user_id=self.users.name_of(case),
            placement=question.placement,
            limit=TOP,
            deadline=Deadline.after(PATIENCE_S),
            catalogue=self.catalogue,
            item_id=case.page_item,
            item_ids=case.item_ids,
            exclude_item_ids=case.history if question.call == "similar" else (),
            filters=(AttributeFilter(question.filter_by, (case.filter_value,)),) if question.filter_by else (),
        )
        pipeline = {"rank": self.rank, "similar": self.similar}.get(question.call) or self.placements[question.placement]
        answer = await pipeline.run(query)
        lost = [f"{each.stage}: {each.reason}" for each in answer.degradations if each.reason in MODEL_FAILURES]
        if lost:
            raise BadRelease(f"the release cannot be evaluated: {'; '.join(lost)}; see `banquet release inspect`")
        return self.catalogue.ids_of(answer.picks.rows)


class CaseUsers:
    """A `UserReader` of the cases' users: a dataset's rows, with history and counters as they were before the item was taken."""

    def __init__(self, cases: Cases) -> None:
        self._cases = cases
        dataset, log = cases.dataset, cases.log
        self._columns = {name: dataset.users[name].to_pylist() for name in dataset.user_features}
        moments = log.moments[cases.targets]
        counted = log.user_counters.before(log.user[cases.targets], moments)
        self._counted = dict(zip(cases.targets.tolist(), counted.tolist(), strict=True))
        self._known: dict[str, UserFeatures] = {}

    def name_of(self, case: Case) -> str:
        """Makes the case's user known, and says by which id; nobody is known by a stranger's."""
        if not case.history:
            return "stranger"
        name = f"user-{case.target}"
        if name not in self._known:
            self._known[name] = UserFeatures(name, self._values(case.target), case.history, found=True)
        return name

    async def read(self, user_id: str, context: Mapping[str, str] | None = None) -> UserFeatures:  # noqa: ARG002 - the port's
        return self._known.get(user_id) or UserFeatures(user_id)

    def _values(self, target: int) -> dict[str, object]:
        row = int(self._cases.log.user[target])
        counters = zip(COUNTED, self._counted[target], strict=True)
        return {
            **{name: values[row] for name, values in self._columns.items()},
            **{name: None if value != value else value for name, value in counters},  # noqa: PLR0124 - NaN: there is none
        }


@asynccontextmanager
async def in_process(
    release: Path, cases: Cases, placements: Mapping[str, PlacementSettings], threads: int
) -> AsyncIterator[tuple[InProcessRelease, InProcessRelease]]:
    """A release with its ranking model, and by its retrieval scores alone; cases are of a dataset `as_trained`.

    Raises `BadRelease` when it cannot be loaded.
    """
    manifest, vectors = read_release(release)
    with TemporaryDirectory(prefix="banquet-evaluation-") as folder:
        catalogue = _catalogue(Path(folder), cases)
        host = InProcess(release, Path(folder), threads=threads)
        models = Batcher(host)
        try:
            try:
                await host.loaded()
            except (BadManifest, EngineFailed, SchemaMismatch) as error:
                raise BadRelease(f"release {release.name} cannot be evaluated: {error}") from error
            users = CaseUsers(cases)

            def answering(left_out: tuple[str, ...]) -> InProcessRelease:
                stages = Stages(models, users, manifest.schema, vectors, (), left_out)
                patient = {name: one.model_copy(update={"budgets_ms": {}}) for name, one in placements.items()}
                pipelines = {name: stages.pipeline(name, placement) for name, placement in patient.items()}
                return InProcessRelease(catalogue, users, pipelines, stages.rank(), stages.similar())

            yield answering(manifest.ranking_left_out), answering(QUESTIONS)
        finally:
            await models.close()
            await host.close()


def _catalogue(folder: Path, cases: Cases) -> Catalogue:
    """Every item of the dataset, with the counters of what models may train on."""
    log = cases.log
    trained = is_trained_on(log, cases.split)
    # The moment after all that is trained on does not exist: users end at different times. So their events are counted alone.
    counted = np.stack([cases.counts, *_ratings(cases, trained)], 1).astype(np.float32)
    columns = item_columns(cases.dataset, counted)
    columns["available"] = Column("number", "item_profile", cases.available)
    n = len(cases.item_ids)
    version = write_catalogue(
        folder,
        cases.item_ids,
        columns,
        statuses={view: np.full(n, 2, np.uint8) for view in VIEWS},
        event_times_us={view: np.zeros(n, np.int64) for view in VIEWS},
        confirmed_at_s=time.time(),
    )
    return Catalogue(read_catalogue(folder, version), time.time())


def _ratings(cases: Cases, trained: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[np.ndarray, np.ndarray]:
    """How many ratings each item has, and their mean (NaN without any)."""
    log = cases.log
    rated = trained & ~np.isnan(log.values)
    count = np.bincount(log.item[rated], minlength=log.n_items)
    total = np.bincount(log.item[rated], weights=log.values[rated], minlength=log.n_items)
    return count, np.where(count > 0, total / np.maximum(count, 1), np.nan)
