"""One gateway process: `python -m banquet.app.gateway SETTINGS.json INDEX PARENT`, a child of `banquet up`."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import signal
import sys
from pathlib import Path

import grpc
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from prometheus_client import REGISTRY, start_http_server

from banquet.api.admission import Admission
from banquet.api.feedback import Feedback
from banquet.api.limits import SERVER_OPTIONS
from banquet.api.operations import Operations
from banquet.api.recommendation import Recommendation
from banquet.api.status import Guard, Methods
from banquet.app.feature_metrics import FeaturePlane
from banquet.app.logs import log_to_stderr
from banquet.app.privacy import pseudonyms_in_force
from banquet.app.processes import end_with_parent
from banquet.app.readiness import Readiness
from banquet.app.settings import Settings, read_settings
from banquet.app.wiring import Parts, open_parts
from banquet.v1 import (
    feedback_pb2,
    feedback_pb2_grpc,
    operations_pb2,
    operations_pb2_grpc,
    recommendation_pb2,
    recommendation_pb2_grpc,
)

log = logging.getLogger(__name__)

COLLECT_AFTER = 20_000
SERVICES = (
    recommendation_pb2.DESCRIPTOR.services_by_name["RecommendationService"].full_name,
    feedback_pb2.DESCRIPTOR.services_by_name["FeedbackService"].full_name,
    operations_pb2.DESCRIPTOR.services_by_name["OperationsService"].full_name,
)


async def serve(settings: Settings, index: int) -> None:
    """Answer until SIGTERM, then refuse new calls and finish those in progress."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_parts(settings, f"{settings.port}-{index}") as parts:
        server, readiness = _server(settings, parts)
        await readiness.tell()
        await server.start()
        watch = asyncio.create_task(readiness.watch())
        # What is loaded by now stays; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        # Queries leave no cycles behind: the usual 700 would have it look through those under way several times a second.
        gc.set_threshold(COLLECT_AFTER)
        log.info("listening on %s:%d, release %s", settings.host, settings.port, parts.releases.stable.release)
        await stop.wait()
        watch.cancel()
        await readiness.health.enter_graceful_shutdown()
        await server.stop(settings.drain_s)


def _server(settings: Settings, parts: Parts) -> tuple[grpc.aio.Server, Readiness]:
    server = grpc.aio.server(options=SERVER_OPTIONS)
    guard = Guard(Admission(settings.max_concurrent, "calls"), Admission(settings.max_streams, "streams"))
    guarded, free = Methods(server, guard), Methods(server)
    checker = health.aio.HealthServicer()
    readiness = Readiness(parts.checks, parts.canaries, checker, ["", *SERVICES])
    recommendation_pb2_grpc.add_RecommendationServiceServicer_to_server(
        Recommendation(parts.releases, parts.catalogue, settings.max_latency_ms / 1e3), guarded
    )
    feedback_pb2_grpc.add_FeedbackServiceServicer_to_server(Feedback(parts.events, parts.releases.count), guarded)
    operations_pb2_grpc.add_OperationsServiceServicer_to_server(
        Operations(lambda: readiness.condition, parts.catalogue, parts.releases.served, parts.erasures), guarded
    )
    health_pb2_grpc.add_HealthServicer_to_server(checker, free)
    names = [*SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME]
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflection.aio.ReflectionServicer(names), free)
    server.add_insecure_port(settings.address)
    return server, readiness


def main() -> None:
    end_with_parent(int(sys.argv[3]))
    settings = read_settings(**json.loads(Path(sys.argv[1]).read_text()))
    index = int(sys.argv[2])
    log_to_stderr(settings.log_level, pseudonyms_in_force(settings))
    if settings.metrics_port:
        REGISTRY.register(FeaturePlane(settings.catalogue, settings.feedback))
        start_http_server(settings.metrics_port + index, addr="127.0.0.1")
    uvloop.run(serve(settings, index))


if __name__ == "__main__":
    main()
