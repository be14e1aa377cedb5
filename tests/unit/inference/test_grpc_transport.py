"""TorchServe's gRPC in an environment that names proxies, against a real server and a real proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from banquet.inference.grpc_transport import GrpcTransport
from banquet.inference.torchserve_pb2 import PredictionResponse
from banquet.inference.transport import TorchServeAddress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def _predict(_request: bytes, _context: grpc.aio.ServicerContext) -> PredictionResponse:
    return PredictionResponse(prediction=b"good")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server that has one method of TorchServe's."""
    method = grpc.unary_unary_rpc_method_handler(_predict, response_serializer=PredictionResponse.SerializeToString)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("org.pytorch.serve.grpc.inference.InferenceAPIsService", {"Predictions": method})]
    )
    found = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield found
    await server.stop(None)


async def test_a_torchserve_on_this_machine_is_asked_directly(proxy, port) -> None:
    """Whatever proxies the environment names."""
    transport = GrpcTransport(TorchServeAddress(f"127.0.0.1:{port}"))
    assert await transport.predict("ranking", "", b"job", "", 5.0) == b"good"
    await transport.close()
    assert proxy.asked == []


async def test_a_torchserve_elsewhere_is_asked_as_the_environment_says(proxy, port) -> None:
    """By the proxy, which knows the name; `no_proxy` takes hosts out."""
    proxy.upstream = port
    transport = GrpcTransport(TorchServeAddress("gpu-1.example:7070"))
    assert await transport.predict("ranking", "", b"job", "", 5.0) == b"good"
    await transport.close()
    assert proxy.asked == ["CONNECT gpu-1.example:7070 HTTP/1.1"]
