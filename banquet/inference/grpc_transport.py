"""TorchServe over gRPC: for any host that has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from banquet.inference.failures import MODEL_ERROR, TIMEOUT, UNAVAILABLE, failure, is_locked
from banquet.inference.torchserve_pb2 import DescribeModelRequest, ManagementResponse, PredictionResponse, PredictionsRequest
from banquet.inference.transport import MAX_MESSAGE_BYTES, Locked

if TYPE_CHECKING:
    from banquet.core.errors import StageFailed
    from banquet.inference.transport import TorchServeAddress

# The only key of a request: TorchServe's worker does about six reads per key.
INPUT = "job"
_PREDICTIONS = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"
_DESCRIBE = "/org.pytorch.serve.grpc.management.ManagementAPIsService/DescribeModel"
_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES + 2**16),
    # A restarted TorchServe is found at once; the default waits up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    # How long one attempt may take: a JVM that has just started needs a while to shake hands.
    ("grpc.min_reconnect_backoff_ms", 2000),
)
_REASONS = {grpc.StatusCode.DEADLINE_EXCEEDED: TIMEOUT, grpc.StatusCode.RESOURCE_EXHAUSTED: MODEL_ERROR}


class GrpcTransport:
    """One channel for predictions, one for management."""

    def __init__(self, address: TorchServeAddress) -> None:
        # A channel connects when it is first used; without a management address that one never is.
        self._channels = [grpc.aio.insecure_channel(at, options=_OPTIONS) for at in (address.inference, address.management)]
        self._predictions = self._channels[0].unary_unary(
            _PREDICTIONS,
            request_serializer=PredictionsRequest.SerializeToString,
            response_deserializer=PredictionResponse.FromString,
        )
        self._describe = self._channels[1].unary_unary(
            _DESCRIBE,
            request_serializer=DescribeModelRequest.SerializeToString,
            response_deserializer=ManagementResponse.FromString,
        )

    async def predict(self, model: str, payload: bytes, key: str, timeout_s: float) -> bytes:
        request = PredictionsRequest(model_name=model, input={INPUT: payload})
        try:
            answer = await self._predictions(request, timeout=timeout_s, metadata=_metadata(key))
        except grpc.aio.AioRpcError as error:
            raise _failed(error) from error
        prediction: bytes = answer.prediction
        return prediction

    async def describe(self, model: str, key: str, timeout_s: float) -> str:
        try:
            answer = await self._describe(DescribeModelRequest(model_name=model), timeout=timeout_s, metadata=_metadata(key))
        except grpc.aio.AioRpcError as error:
            raise _failed(error) from error
        described: str = answer.msg
        return described

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
