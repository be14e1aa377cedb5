"""Fakes of the ports and small values for unit tests; the contract suites keep the fakes honest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from banquet.core.candidates import Candidates
from banquet.core.catalogue import Catalogue
from banquet.core.deadline import Deadline
from banquet.core.errors import StageFailed
from banquet.core.pipeline import Pipeline
from banquet.core.query import Query, UserFeatures
from banquet.core.stages import Answer, Found, ModelAnswer, ModelJob, ModelRun, Scored
from banquet.wire.catalogue_file import CatalogueFile, Column, Strings


def make_catalogue(items: int = 10, *, columns: dict[str, Column] | None = None) -> Catalogue:
    """Items `i0`, `i1`, ...: `interaction_count` falls with the row, genres alternate, the last one is withdrawn."""
    if columns is None:
        columns = {
            "interaction_count": Column("number", "item_activity", np.arange(items, 0, -1, dtype=np.int64)),
            "genres": Column(
                "categories",
                "item_profile",
                (np.arange(items) % 2).astype(np.int32),
                Strings.of(["Comedy", "Drama"]),
                np.arange(items + 1, dtype=np.int64),
            ),
            "year": Column("number", "item_profile", np.arange(1990, 1990 + items, dtype=np.float32)),
            "available": Column("number", "item_profile", np.arange(items) != items - 1),
        }
    file = CatalogueFile("0123456789abcdef", Strings.of([f"i{k}" for k in range(items)]), columns, {}, {})
    return Catalogue(file, time.time())


def make_query(catalogue: Catalogue | None = None, **fields: object) -> Query:
    chosen = {
        "request_id": "r1",
        "user_id": "u1",
        "placement": "home",
        "limit": 3,
        "deadline": Deadline.after(1.0),
        "catalogue": catalogue or make_catalogue(),
    } | fields
    return Query(**chosen)


@dataclass
class FakeSource:
    """Finds fixed rows, after a delay, or fails."""

    name: str
    rows: list[int] = field(default_factory=list)
    delay_s: float = 0.0
    error: Exception | None = None

    async def find(self, query: Query) -> Found:
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        rows = np.array(self.rows, np.int32)
        return Found(Candidates.of(self.name, rows, np.linspace(1, 0, len(rows), dtype=np.float32)), ModelRun("rel", "fake", 0.1))


@dataclass
class FakeScorer:
    """Scores a candidate with its row number, after a delay, or fails."""

    name: str = "ranking"
    delay_s: float = 0.0
    error: Exception | None = None

    async def score(self, query: Query, candidates: Candidates) -> Scored:
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        return Scored(candidates.rows.astype(np.float32), ModelRun("rel", "fake", 0.1))


@dataclass
class FakeUsers:
    """Knows some users; fails for all when `broken`."""

    known: dict[str, UserFeatures] = field(default_factory=dict)
    broken: bool = False
    contexts: list[Mapping[str, str]] = field(default_factory=list)

    async def read(self, user_id: str, context: Mapping[str, str] | None = None) -> UserFeatures:
        self.contexts.append(context or {})
        if self.broken:
            raise StageFailed("unavailable", "the fake store is broken")
        return self.known.get(user_id, UserFeatures(user_id))


@dataclass
class FakeModels:
    """A `ModelClient` that answers every job with arrays made from it, or fails."""

    vector_size: int = 2
    error: Exception | None = None
    jobs: list[ModelJob] = field(default_factory=list)

    async def predict(self, job: ModelJob, timeout_s: float) -> ModelAnswer:
        self.jobs.append(job)
        if self.error is not None:
            raise self.error
        rows = job.arrays.get("rows")
        if rows is not None:
            scores = {"scores": rows.astype(np.float32), "retrieval": -rows.astype(np.float32)}
            return ModelAnswer(scores, ModelRun("rel", "fake", 0.1))
        found = np.arange(int(job.arrays["limit"][0]), dtype=np.int32)
        arrays = {"rows": found, "scores": -found.astype(np.float32), "user_vector": np.ones(self.vector_size, np.float32)}
        if job.model == "cascade":
            arrays["ranking"] = found.astype(np.float32)
        return ModelAnswer(arrays, ModelRun("rel", "fake", 0.1))


@dataclass
class FakeSink:
    name: str = "notes"
    answers: list[Answer] = field(default_factory=list)
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, answer: Answer) -> None:
        self.answers.append(answer)
        self.told.set()


@dataclass
class OneRelease:
    """A release that serves everybody, and the only one."""

    placements: Mapping[str, Pipeline]
    rank: Pipeline
    similar: Pipeline

    def of(self, user_id: str) -> OneRelease:
        return self

    async def answer(self, pipeline: Pipeline, query: Query) -> Answer:
        return await pipeline.run(query)

    def answered(self, release: OneRelease, pipeline: Pipeline, answer: Answer) -> None:
        pipeline.tell(answer)
