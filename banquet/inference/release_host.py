"""A host of models held to one release: whatever another release answers is refused, so that no answer is a mixture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banquet.core.errors import StageFailed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    from banquet.inference.host import ModelHost, StackedAnswer

MISMATCH = "release_mismatch"


class ReleaseHost:
    """A `ModelHost` that asks another one, and reads who answered."""

    def __init__(self, host: ModelHost, release: str) -> None:
        self._host = host
        self._release = release

    async def run(self, model: str, catalogue: str, arrays: Mapping[str, NDArray[Any]], timeout_s: float) -> StackedAnswer:
        answer = await self._host.run(model, catalogue, arrays, timeout_s)
        if answer.run.release != self._release:
            raise StageFailed(MISMATCH, f"{model} answered as release {answer.run.release!r}, asked as {self._release}")
        return answer

    def capacity(self, model: str) -> int:
        return self._host.capacity(model)

    async def check(self, model: str, timeout_s: float) -> None:
        await self._host.check(model, timeout_s)

    async def close(self) -> None:
        await self._host.close()
