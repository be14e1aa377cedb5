"""Ready means that every part was checked and works."""

import asyncio

from grpc_health.v1 import health, health_pb2

from banquet.app.readiness import Readiness
from banquet.core.errors import StageFailed


def make_readiness(trouble: list[str]) -> Readiness:
    async def check() -> None:
        if trouble:
            raise StageFailed("unavailable", trouble[0])

    async def canary() -> str:
        await check()
        return "onnxruntime"

    return Readiness({"catalogue": check}, {"cascade": canary}, health.aio.HealthServicer(), [""])


async def said(readiness: Readiness) -> int:
    answer = await readiness.health.Check(health_pb2.HealthCheckRequest(service=""), None)
    return answer.status


async def test_nothing_is_ready_before_it_was_checked() -> None:
    """A gateway that has just started must not get traffic."""
    readiness = make_readiness([])
    await readiness.tell()
    assert await said(readiness) == health_pb2.HealthCheckResponse.NOT_SERVING
    assert not readiness.condition.ready


async def test_a_part_that_fails_is_named_until_it_works_again() -> None:
    """The status says what is wrong; once all is well health says SERVING and names the backend."""
    trouble = ["the store is down"]
    readiness = make_readiness(trouble)
    watch = asyncio.create_task(readiness.watch())
    await asyncio.sleep(0.05)
    assert [part.detail for part in readiness.condition.parts] == ["unavailable: the store is down"] * 2
    trouble.clear()
    await asyncio.sleep(0.4)
    watch.cancel()
    assert await said(readiness) == health_pb2.HealthCheckResponse.SERVING
    assert readiness.condition.backends == {"cascade": "onnxruntime"}
