"""TorchServe over gRPC: for any host that has one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from banquet.core.loopback import channel_options
from banquet.inference.failures import MODEL_ERROR, TIMEOUT, UNAVAILABLE, failure, is_locked
from banquet.inference.torchserve_pb2 import (
    DescribeModelRequest,
    ManagementResponse,
    PredictionResponse,
    PredictionsRequest,
    RegisterModelRequest,
    SetDefaultRequest,
    UnregisterModelRequest,
)
from banquet.inference.transport import MAX_MESSAGE_BYTES, Locked

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from banquet.core.errors import StageFailed
    from banquet.inference.transport import TorchServeAddress

# The only key of a request: TorchServe's worker does about six reads per key.
INPUT = "job"
_PREDICTIONS = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"
_MANAGEMENT = "/org.pytorch.serve.grpc.management.ManagementAPIsService"
_OPTIONS = (
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES + 2**16),
    # A restarted TorchServe is found at once; the default waits up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    # How long one attempt may take: a JVM that has just started needs a while to shake hands.
    ("grpc.min_reconnect_backoff_ms", 2000),
)
_VERBS: dict[type[Any], str] = {
    DescribeModelRequest: "DescribeModel",
    RegisterModelRequest: "RegisterModel",
    UnregisterModelRequest: "UnregisterModel",
    SetDefaultRequest: "SetDefault",
}
_REASONS = {grpc.StatusCode.DEADLINE_EXCEEDED: TIMEOUT, grpc.StatusCode.RESOURCE_EXHAUSTED: MODEL_ERROR}


class GrpcTransport:
    """One channel for predictions, one for management."""

    def __init__(self, address: TorchServeAddress) -> None:
        # A channel connects when it is first used; without a management address that one never is.
        self._channels = [
            grpc.aio.insecure_channel(at, options=(*_OPTIONS, *channel_options(at)))
            for at in (address.inference, address.management)
        ]
        self._predictions = self._channels[0].unary_unary(
            _PREDICTIONS,
            request_serializer=PredictionsRequest.SerializeToString,
            response_deserializer=PredictionResponse.FromString,
        )
        self._management = {
            kind: self._channels[1].unary_unary(
                f"{_MANAGEMENT}/{verb}",
                request_serializer=kind.SerializeToString,
                response_deserializer=ManagementResponse.FromString,
            )
            for kind, verb in _VERBS.items()
        }

    async def predict(self, model: str, version: str, payload: bytes, key: str, timeout_s: float) -> bytes:
        request = PredictionsRequest(model_name=model, model_version=version, input={INPUT: payload})
        try:
            answer = await self._predictions(request, timeout=timeout_s, metadata=_metadata(key))
        except grpc.aio.AioRpcError as error:
            raise _failed(error) from error
        prediction: bytes = answer.prediction
        return prediction

    async def describe(self, model: str, version: str, key: str, timeout_s: float) -> str:
        return await self._manage(DescribeModelRequest(model_name=model, model_version=version), key, timeout_s)

    async def register(self, model: str, archive: str, workers: int, key: str, timeout_s: float) -> None:
        wanted = RegisterModelRequest(model_name=model, url=archive, initial_workers=workers, synchronous=True)
        await self._manage(wanted, key, timeout_s)

    async def unregister(self, model: str, version: str, key: str, timeout_s: float) -> None:
        await self._manage(UnregisterModelRequest(model_name=model, model_version=version), key, timeout_s)

    async def make_default(self, model: str, version: str, key: str, timeout_s: float) -> None:
        await self._manage(SetDefaultRequest(model_name=model, model_version=version), key, timeout_s)

    async def _manage(self, request: Message, key: str, timeout_s: float) -> str:
        try:
            answer = await self._management[type(request)](request, timeout=timeout_s, metadata=_metadata(key))
        except grpc.aio.AioRpcError as error:
            raise _failed(error) from error
        said: str = answer.msg
        return said

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()


def _metadata(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),) if key else ()


def _failed(error: grpc.aio.AioRpcError) -> StageFailed:
    text = error.details() or error.code().name
    if is_locked(text):
        return Locked(UNAVAILABLE, text)
    return failure(text, otherwise=_REASONS.get(error.code(), UNAVAILABLE))
