"""Hands a new catalogue version to queries once the models answer for it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Protocol

from banquet.core.errors import StageFailed
from banquet.features.problems import in_words, noted_problems
from banquet.wire.availability import AVAILABLE
from banquet.wire.schema import SchemaMismatch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from banquet.core.catalogue import Catalogue
    from banquet.features.catalogue.follower import CatalogueFollower
    from banquet.wire.schema import FeatureSchema

log = logging.getLogger(__name__)

LOOK_S = 0.05
ASK_AGAIN_S = 0.1
# Between two versions: each costs the models a canary.
REST_S = 0.2
# A version that the models are still encoding is waited for so long per 100,000 items; then queries go on without the models.
ENCODING_S = 20.0
# Models that do not answer at all are not waited for.
SILENT_S = 2.0
ENCODING = "stale_catalogue"
PER_ITEMS = 100_000


class Fitted(Protocol):
    """A release that serves. `ask` raises `StageFailed` as long as a model does not answer for a version."""

    @property
    def release(self) -> str: ...

    @property
    def schema(self) -> FeatureSchema: ...

    @property
    def ask(self) -> Callable[[str, Catalogue], Awaitable[object]]: ...


class Handover:
    """Watches for candidates of a follower, and asks the models of every release that serves.

    A version that lacks what the stable release was trained on is refused: the one before it stays, and `check`
    names the feature.
    """

    def __init__(
        self,
        follower: CatalogueFollower,
        releases: Callable[[], Sequence[Fitted]],
        models: Sequence[str],
    ) -> None:
        """`releases` are those that serve, the stable one first."""
        self._follower = follower
        self._releases = releases
        self._models = models
        self._refused = ""
        self._trouble = ""

    def misfit(self, catalogue: Catalogue) -> str:
        """Why the stable release cannot serve a catalogue; empty when it can. A candidate that cannot will fall back itself."""
        stable = self._releases()[0]
        try:
            stable.schema.check_items(catalogue.file.columns)
        except SchemaMismatch as error:
            remedy = "train again with --repo, or undo the apply"
            return f"release {stable.release} does not fit catalogue {catalogue.version}: {error}; {remedy}"
        return ""

    async def check_in_force(self) -> None:
        """Raises `StageFailed` before there is a catalogue, and for a first one that does not fit."""
        catalogue = self._follower.current()
        if catalogue is None:
            said = in_words(noted_problems(self._follower.folder)) or "see the log of its builder"
            raise StageFailed("no_catalogue", f"no catalogue in {self._follower.folder} yet; {said}")
        if misfit := self.misfit(catalogue):
            raise StageFailed("schema_mismatch", misfit)

    async def check_newest(self) -> None:
        """Raises `StageFailed` while the newest catalogue is refused, or none can be made."""
        if self._trouble:
            raise StageFailed("schema_mismatch", self._trouble)
        if said := in_words(noted_problems(self._follower.folder)):
            raise StageFailed("unavailable", said)

    async def check_available(self) -> None:
        """Raises `StageFailed` while items of the catalogue that is served have an `available` that cannot be read."""
        catalogue = self._follower.current()
        if catalogue is not None and len(rows := catalogue.availability.unreadable):
            first, column = int(rows[0]), catalogue.column(AVAILABLE)
            raise StageFailed(
                "unreadable_available",
                f"{AVAILABLE!r} of {len(rows)} items is neither yes nor no, such as {column.text(first)!r} of item"
                f" {catalogue.item_ids[first]!r}; they are shown; write yes or no, 1 or 0, in stock or out of stock",
            )

    async def watch(self) -> None:
        """Hand over for ever."""
        while True:
            candidate = self._follower.candidate()
            if candidate is None:
                # The newest is in force.
                self._trouble = self._refused = ""
            elif candidate.version != self._refused:
                await self._consider(candidate)
            await asyncio.sleep(LOOK_S)

    async def _consider(self, candidate: Catalogue) -> None:
        self._trouble = self.misfit(candidate)
        if self._trouble:
            self._refused = candidate.version
            log.error("%s", self._trouble)
            return
        began_s = time.monotonic()
        patience_s = ENCODING_S * max(1.0, len(candidate) / PER_ITEMS)
        waiting = [(release, model) for release in self._releases() for model in self._models]
        while waiting:
            reasons = await asyncio.gather(*(self._reason(release, model, candidate) for release, model in waiting))
            waited_s = time.monotonic() - began_s
            bounds_s = [patience_s if reason == ENCODING else SILENT_S for reason in reasons]
            waiting = [
                one for one, reason, bound_s in zip(waiting, reasons, bounds_s, strict=True) if reason and waited_s < bound_s
            ]
            if waiting:
                await asyncio.sleep(ASK_AGAIN_S)
        self._follower.admit(candidate)
        await asyncio.sleep(REST_S)

    async def _reason(self, release: Fitted, model: str, candidate: Catalogue) -> str:
        """Why a model does not answer for a version; empty when it does."""
        try:
            await release.ask(model, candidate)
        except StageFailed as failed:
            return failed.reason
        return ""
