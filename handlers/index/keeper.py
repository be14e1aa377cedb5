"""Which index serves which version of the catalogue: exact, until the one that the release plans is there and good enough."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from banquet.wire.nice import be_nice
from handlers.index.exact import Exact
from handlers.index.ivf import FaissMissing, Ivf, import_faiss
from handlers.index.plan import LEAST_RECALL, RECALL_AT
from handlers.index.recall import best_scores, recall

if TYPE_CHECKING:
    from concurrent.futures import Future

    from handlers.index.index import Index
    from handlers.index.plan import Plan
    from handlers.items import ResidentItems
    from handlers.tables import Tables

log = logging.getLogger(__name__)

# Up to so many lines of 64 looking at all of them is about as quick on one core (`python -m bench scale` measures it).
FEW = 50_000
# With more lines behind those that an index covers than this share, it is extended: until then they are looked at one by one.
BEHIND = 0.01
LEAST_BEHIND = 2048
# When the catalogue has grown by this factor since, the recall is measured again.
GROWN = 1.2
KEPT = 2


@dataclass(frozen=True, slots=True)
class _Held:
    """An index over the lines of some tables; `tried_at` is how many there were when its recall was measured."""

    tables: Tables
    index: Ivf
    tried_at: int


class IndexKeeper:
    """Builds and extends indexes in a thread of its own, so that neither jobs nor new versions wait for them.

    Readers take what is there without a lock: `_held` is replaced, never changed.
    """

    def __init__(self, plan: Plan | None, threads: int) -> None:
        self._plan = plan
        self._threads = threads
        self._exact = Exact()
        self._held: tuple[_Held, ...] = ()
        self._builder = ThreadPoolExecutor(1, thread_name_prefix="index-builder", initializer=be_nice)
        self._building: Future[None] | None = None
        self._newest: ResidentItems | None = None
        # Tables for which no index was good enough.
        self._given_up: Tables | None = None
        if plan is not None:
            try:
                import_faiss(threads)
            except FaissMissing as missing:
                log.warning("every item is looked at for every query, though the release plans an index: %s", missing)
                self._plan = None

    def of(self, items: ResidentItems) -> Index:
        """The index that serves a version now."""
        held = self._of(items.tables)
        return self._exact if held is None else held.index

    def follow(self, items: ResidentItems) -> None:
        """See to it that a version, which has just become resident, will have its index."""
        if self._plan is not None and items.device.type == "cpu" and len(items) > FEW:
            self._newest = items
            self._building = self._builder.submit(self._catch_up)

    def wait(self) -> None:
        """Until nothing is being built any more."""
        if self._building is not None:
            self._building.result()

    def stop(self) -> None:
        self._builder.shutdown(cancel_futures=True)

    def _of(self, tables: Tables) -> _Held | None:
        return next((held for held in self._held if held.tables is tables), None)

    @torch.inference_mode()
    def _catch_up(self) -> None:
        items = self._newest
        if items is None or items.tables is self._given_up:
            return
        held = self._of(items.tables)
        if held is None or len(items.vectors) - held.index.covered > max(LEAST_BEHIND, BEHIND * held.index.covered):
            self._build(items)

    def _build(self, items: ResidentItems) -> None:
        began_s = time.perf_counter()
        try:
            made = self._made(items)
        except Exception:  # without an index a worker answers slowly, which must not go unsaid
            log.exception("the index of catalogue %s cannot be built; every item is looked at for every query", items.version)
            made = None
        if made is None:
            self._given_up = items.tables
            self._held = tuple(held for held in self._held if held.tables is not items.tables)
            return
        others = [held for held in self._held if held.tables is not items.tables]
        self._held = (*others[1 - KEPT :], made)
        took_s = time.perf_counter() - began_s
        log.info("catalogue %s has an index of %d lines, made in %.1f s", items.version, made.index.covered - 1, took_s)

    def _made(self, items: ResidentItems) -> _Held | None:
        assert self._plan is not None, "only what is planned is built"
        held = self._of(items.tables)
        if held is not None and len(items.vectors) < GROWN * held.tried_at:
            return _Held(items.tables, held.index.extended(items.vectors), held.tried_at)
        plan = self._plan
        if held is None:
            index = Ivf.over(items.vectors, plan.lists, plan.codes, plan.probes, self._threads)
        else:
            index = held.index.extended(items.vectors)
        good = self._good_enough(index, items, plan)
        return None if good is None else _Held(items.tables, good, len(items.vectors))

    def _good_enough(self, index: Ivf, items: ResidentItems, plan: Plan) -> Ivf | None:
        """The index, looking into more lists if it takes that to find what it should; None when it takes too many."""
        users = plan.users
        exact = best_scores(self._exact, items, users, min(RECALL_AT, len(items)))
        while True:
            found = recall(index, items, users, exact)
            if found >= LEAST_RECALL:
                if index.probes > plan.probes:
                    log.warning(
                        "the index of catalogue %s looks into %d lists, not %d, to find %.4f of the best %d; build the archive"
                        " anew",
                        *(items.version, index.probes, plan.probes, found, exact.shape[1]),
                    )
                return index
            if 2 * index.probes > len(plan.lists) // 2:
                log.warning(
                    "the index of catalogue %s finds %.4f of the best %d, %.2f is wanted; every item is looked at for every"
                    " query: train again on the items of today",
                    *(items.version, found, exact.shape[1], LEAST_RECALL),
                )
                return None
            index = index.probing(2 * index.probes)
