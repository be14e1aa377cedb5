"""TorchServe's inference call over gRPC: one payload in, one payload out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Self

from grpc import aio

from banquet.inference.torchserve_pb2 import PredictionResponse, PredictionsRequest

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

METHOD = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"
KEY = "data"
MAX_BYTES = 16 * 2**20


class TorchServe:
    """A TorchServe that runs already; `keys` is the file with its access keys, None when it wants none."""

    def __init__(self, address: str, keys: Path | None, timeout_s: float = 30.0) -> None:
        options = (("grpc.max_receive_message_length", MAX_BYTES), ("grpc.max_send_message_length", MAX_BYTES))
        self._channel = aio.insecure_channel(address, options)
        self._predictions: aio.UnaryUnaryMultiCallable[PredictionsRequest, PredictionResponse] = self._channel.unary_unary(
            METHOD, PredictionsRequest.SerializeToString, PredictionResponse.FromString
        )
        self._metadata = (("authorization", f"Bearer {json.loads(keys.read_bytes())['inference']['key']}"),) if keys else ()
        self._timeout_s = timeout_s

    async def predict(self, model: str, payload: bytes) -> bytes:
        """Raises `grpc.aio.AioRpcError`."""
        request = PredictionsRequest(model_name=model, input={KEY: payload})
        return (await self._predictions(request, timeout=self._timeout_s, metadata=self._metadata)).prediction

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._channel.close()
