"""`python -m bench.naive`: serves RecommendationService.Recommend until SIGTERM. Says `ready` on standard output."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import uvloop
from grpc import aio

from banquet.v1 import recommendation_pb2 as pb
from banquet.wire.manifest_file import read_manifest
from bench.naive.encoding import Encoder
from bench.naive.features import FeastFeatures
from bench.naive.predictions import TorchServe
from bench.naive.server import NaiveRecommendations

SERVICE = "banquet.v1.RecommendationService"
START_S = 120.0
THREADS = 16
WARM_CALLS = 500


async def serve(arguments: argparse.Namespace) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    manifest = read_manifest(arguments.release)
    features = FeastFeatures(arguments.feature_repo, manifest.schema)
    async with TorchServe(arguments.torchserve, arguments.keys) as models:
        recommendations = NaiveRecommendations(
            features,
            models,
            Encoder(manifest.schema),
            release=manifest.version,
            candidates=arguments.candidates,
            history_length=manifest.schema.history_length,
        )
        method = grpc.unary_unary_rpc_method_handler(
            recommendations.recommend,
            request_deserializer=pb.RecommendRequest.FromString,
            response_serializer=pb.RecommendResponse.SerializeToString,
        )
        server = aio.server(options=[("grpc.so_reuseport", 1)])
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {"Recommend": method})])
        server.add_insecure_port(f"127.0.0.1:{arguments.port}")
        await _answers(recommendations)
        await recommendations.warm_up(WARM_CALLS)
        # What was loaded at start stays: looking through it again and again costs 300 ms each time.
        gc.collect()
        gc.freeze()
        await server.start()
        print("ready", flush=True)
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        await stopped.wait()
        await server.stop(1.0)


async def _answers(recommendations: NaiveRecommendations) -> None:
    """Waits until a whole request goes through: the models load while this starts. Raises what the last try raised."""
    give_up_s = time.monotonic() + START_S
    while True:
        try:
            await recommendations.recommend(pb.RecommendRequest(user_id="nobody", limit=1))
        except aio.AioRpcError:
            if time.monotonic() > give_up_s:
                raise
            await asyncio.sleep(0.2)
        else:
            return


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.naive", description=__doc__)
    parser.add_argument("--feature-repo", type=Path, required=True, help="Feast repository, applied and materialized")
    parser.add_argument("--release", type=Path, required=True, help="release folder")
    parser.add_argument("--torchserve", required=True, help="host:port of the gRPC inference port with the naive models")
    parser.add_argument("--keys", type=Path, help="that TorchServe's key_file.json, if it wants keys")
    parser.add_argument("--port", type=int, required=True, help="loopback port to serve on")
    parser.add_argument("--candidates", type=int, default=500, help="items that retrieval finds and ranking scores")
    uvloop.run(serve(parser.parse_args()))


main()
