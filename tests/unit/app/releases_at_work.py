"""Releases with pipelines of fakes, as a gateway opens them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from banquet.app.live_release import LiveRelease
from banquet.core.pipeline import Pipeline
from banquet.core.stages import Found, ModelRun
from banquet.stages.selectors.top_k import TopK
from banquet.wire.schema import FeatureSchema
from tests.fakes import FakeSource

SCHEMA = FeatureSchema(user=(), item=(), history_length=4, item_ids=("a",))


class Named(FakeSource):
    """A source whose answers name their release."""

    release = ""

    async def find(self, query) -> Found:
        found = await super().find(query)
        return Found(found.candidates, ModelRun(self.release))


def make_release(name: str, source: FakeSource | None = None, closed: Callable[[str], None] = lambda _: None) -> LiveRelease:
    if source is None:
        source = Named("cascade", [3, 2, 1])
        source.release = name
    home = Pipeline("home", None, [source], None, [], None, TopK())

    async def ask(model, catalogue):
        await asyncio.sleep(0)
        return ModelRun(name)

    async def close():
        closed(name)

    return LiveRelease(name, SCHEMA, {"home": home}, home, home, ask, lambda _: None, close)
