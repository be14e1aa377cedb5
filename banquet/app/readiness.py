"""Whether each part works, checked again and again, and told to the health service."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grpc_health.v1 import health_pb2

from banquet.api.operations import Condition, Part
from banquet.core.errors import BanquetError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from grpc_health.v1 import health

log = logging.getLogger(__name__)

WAITING_S = 0.2
SETTLED_S = 2.0
PATIENCE_S = 2.0


@dataclass
class Readiness:
    """Runs the checks (each raises a `BanquetError` when its part does not work) and the canaries (each returns its backend)."""

    checks: Mapping[str, Callable[[], Awaitable[None]]]
    canaries: Mapping[str, Callable[[], Awaitable[str]]]
    health: health.aio.HealthServicer
    services: Sequence[str]
    condition: Condition = field(default=Condition((Part("gateway", ready=False, detail="starting"),), {}), init=False)

    async def tell(self) -> None:
        """Tell the health service; without being told it says SERVING from the start."""
        answer = health_pb2.HealthCheckResponse
        for service in self.services:
            await self.health.set(service, answer.SERVING if self.condition.ready else answer.NOT_SERVING)

    async def watch(self) -> None:
        """Check for ever: often while something is missing, seldom when all is well."""
        while True:
            self.condition = await self._check()
            await self.tell()
            await asyncio.sleep(SETTLED_S if self.condition.ready else WAITING_S)

    async def _check(self) -> Condition:
        parts = [await self._part(name, check) for name, check in self.checks.items()]
        backends: dict[str, str] = {}
        for model, canary in self.canaries.items():

            async def run(model: str = model, canary: Callable[[], Awaitable[str]] = canary) -> None:
                backends[model] = ""
                backends[model] = await canary()

            parts.append(await self._part(f"model {model}", run))
        return Condition(parts, backends)

    async def _part(self, name: str, check: Callable[[], Awaitable[None]]) -> Part:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await check()
        except TimeoutError:
            return Part(name, ready=False, detail=f"no answer within {PATIENCE_S:.0f} s")
        except BanquetError as error:
            return Part(name, ready=False, detail=str(error))
        except Exception as error:
            # The watch must go on whatever a check runs into.
            log.exception("the check of %s failed", name)
            return Part(name, ready=False, detail=f"{type(error).__name__}: {error}")
        return Part(name, ready=True)
