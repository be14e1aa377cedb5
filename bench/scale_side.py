"""One catalogue of a scale benchmark: a release that knows its items, a store that holds them, and what came of serving it."""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import asynccontextmanager, contextmanager
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from banquet.app.canary import INPUTS, canary_job
from banquet.app.model_hosts import torchserve_address
from banquet.core.catalogue import Catalogue
from banquet.inference.client import TorchServeClient
from banquet.inference.stacking import stack
from banquet.releases import archive, mar
from banquet.releases.index_plan import AMONG, history_near_one
from banquet.releases.manifest import load
from banquet.wire.catalogue_file import read_catalogue, read_pointer
from banquet.wire.manifest_file import ITEMS
from banquet.wire.tensors import unpack
from bench import workspace
from bench.answers import describe, requests_for
from bench.big_stack import PATIENCE_S, BigStack, memory_of_children
from bench.features.big_store import item_id
from bench.load import Outcome, Target, closed_loop
from bench.measure import METHOD
from bench.scale_release import enlarged
from bench.swap_store import HISTORY, USERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray

    from banquet.app.settings import Settings
    from banquet.inference.host import StackedAnswer

CANDIDATES = 500
CALL_S = 30.0
# What Recommend asks.
MODEL = "cascade"


class Side:
    """Made and served once, then asked for turn by turn."""

    def __init__(self, folder: Path, trained: Path, backend: str, items: int) -> None:
        self.items = items
        self.p50s_ms: list[float] = []
        self.recall = float("nan")
        self.index = ""
        self._folder, self._trained, self._backend = folder, trained, backend
        self._outcome = Outcome()
        self._took_s: dict[str, float] = {}

    @property
    def p50_ms(self) -> float:
        """The median of the turns' medians."""
        return median(self.p50s_ms)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Made and up, with the index that the release plans in use."""
        stack_ = await asyncio.to_thread(self._make)
        others = memory_of_children(os.getpid())
        with self._timed("until_ready"):
            running = stack_.running()
            settings = await running.__aenter__()
        try:
            with self._timed("until_indexed_after_that"):
                await self._until_indexed(settings)
            self._address = settings.address
            self._memory_mb = {name: its for name, its in memory_of_children(os.getpid()).items() if name not in others}
            yield
        finally:
            await running.__aexit__(None, None, None)

    async def turn(self, seconds: float, limit: int, *, counted: bool = True) -> None:
        """One caller after the other's answer, for a while."""
        requests = requests_for([f"u{number}" for number in range(USERS)], placement=workspace.PLACEMENT, limit=limit)
        async with Target(self._address, METHOD, requests) as target:
            outcome = await closed_loop(target, concurrency=1, seconds=seconds)
        if not counted:
            return
        self.p50s_ms.append(outcome.percentile_ms(50))
        self._outcome.samples += outcome.samples
        self._outcome.failures += outcome.failures

    async def measure_recall(self) -> None:
        """The share of the exact best that the model finds for the very users asked for."""
        shares = []
        for user, history in enumerate(self._histories):
            answer = await self._ask(MODEL, user)
            scores = self._vectors @ answer.arrays["user_vector"][0]
            scores[history] = -np.inf
            best = np.argpartition(-scores, CANDIDATES)[:CANDIDATES]
            ids = self._catalogue.ids_of(answer.arrays["rows"][0])
            shares.append(len({item_id(int(item)) for item in best} & set(ids)) / CANDIDATES)
        self.recall = sum(shares) / len(shares)
        self._least_recall = min(shares)

    def described(self) -> dict[str, Any]:
        low, _, high = quantiles(self.p50s_ms, n=4)
        return {
            "items": self.items,
            "p50_ms": self.p50_ms,
            "p50_ms_by_turn": self.p50s_ms,
            "p50_ms_quartiles": [low, high],
            "p90_ms": self._outcome.percentile_ms(90),
            "p99_ms": self._outcome.percentile_ms(99),
            "answered": len(self._outcome.samples),
            "failures": dict(self._outcome.failures),
            **describe(self._outcome.samples),
            "recall": self.recall,
            "least_recall_of_a_user": self._least_recall,
            "index": self.index,
            "plan": self._plan,
            "took_s": self._took_s,
            "memory_mb": self._memory_mb,
        }

    def _make(self) -> BigStack:
        self._folder.mkdir()
        with self._timed("release"):
            release = enlarged(self._trained, self._folder / "releases", self.items, workspace.SEED)
        store = self._folder / "store"
        with self._timed("archives"):
            built = archive.build(release, store)
        self._plan = json.loads(mar.read(next(one.path for one in built if one.model == MODEL), "release/index.json"))
        self._schema = load(release).schema
        self._vectors: NDArray[np.float32] = unpack((release / ITEMS).read_bytes())[0]["vectors"]
        draw = np.random.default_rng(workspace.SEED)
        among = draw.choice(self.items, min(AMONG, self.items), replace=False)
        vectors, near = torch.from_numpy(self._vectors.copy()), torch.from_numpy(among)
        self._histories: list[list[int]] = [history_near_one(draw, vectors, near, HISTORY).tolist() for _ in range(USERS)]
        with self._timed("store"):
            return BigStack(
                self._folder / "stack",
                release,
                store,
                items=self.items,
                backend=self._backend,
                columns=0,
                histories=self._histories.__getitem__,
            )

    async def _until_indexed(self, settings: Settings) -> None:
        pointer = read_pointer(settings.catalogue)
        assert pointer is not None, "it is ready"
        self._catalogue = Catalogue(read_catalogue(settings.catalogue, pointer.version), pointer.confirmed_at_s)
        self._host = TorchServeClient(torchserve_address(settings.torchserve.reached[0]))
        async with asyncio.timeout(PATIENCE_S):
            for model in ("retrieval", MODEL):
                while True:
                    answer = await self._ask(model, 0)
                    if answer.run.index == self._plan["kind"]:
                        break
                    await asyncio.sleep(0.5)
        self.index = self._plan["kind"]

    async def _ask(self, model: str, user: int) -> StackedAnswer:
        rows = self._catalogue.rows_of([item_id(item) for item in self._histories[user]])
        job = canary_job(model, self._catalogue.version, self._schema)
        arrays = {**job.arrays, "history": rows[::-1].copy(), "seen": rows, "limit": np.array([CANDIDATES], np.int32)}
        stacked = stack([{name: arrays[name] for name in INPUTS[model]}])
        return await self._host.run(model, self._catalogue.version, stacked, CALL_S)

    def _timed(self, name: str) -> AbstractContextManager[None]:
        return _timing(self._took_s, name)


@contextmanager
def _timing(took_s: dict[str, float], name: str) -> Iterator[None]:
    began_s = time.perf_counter()
    yield
    took_s[name] = time.perf_counter() - began_s
