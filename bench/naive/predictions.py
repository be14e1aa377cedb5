"""TorchServe's inference call over gRPC: one payload in, one payload out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc import aio

if TYPE_CHECKING:
    from types import TracebackType

METHOD = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"
KEY = "data"
MAX_BYTES = 16 * 2**20
_Field = descriptor_pb2.FieldDescriptorProto


class TorchServe:
    """A TorchServe that runs already."""

    def __init__(self, address: str, timeout_s: float = 30.0) -> None:
        options = (("grpc.max_receive_message_length", MAX_BYTES), ("grpc.max_send_message_length", MAX_BYTES))
        self._channel = aio.insecure_channel(address, options)
        self._predictions: aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(METHOD)
        self._timeout_s = timeout_s

    async def predict(self, model: str, payload: bytes) -> bytes:
        """Raises `grpc.aio.AioRpcError`."""
        request = _REQUEST(model_name=model, input={KEY: payload}).SerializeToString()
        answer = _RESPONSE.FromString(await self._predictions(request, timeout=self._timeout_s))
        prediction: bytes = answer.prediction
        return prediction

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._channel.close()


def _messages() -> tuple[Any, Any]:
    """The part of TorchServe's `inference.proto` that Predictions needs; it has no Python package of its own."""
    file = descriptor_pb2.FileDescriptorProto(name="bench/naive/inference.proto", package="bench.naive", syntax="proto3")
    request = file.message_type.add(name="PredictionsRequest")
    request.field.add(name="model_name", number=1, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
    request.field.add(
        name="input",
        number=3,
        type=_Field.TYPE_MESSAGE,
        label=_Field.LABEL_REPEATED,
        type_name=".bench.naive.PredictionsRequest.InputEntry",
    )
    entry = request.nested_type.add(name="InputEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=_Field.TYPE_BYTES, label=_Field.LABEL_OPTIONAL)
    response = file.message_type.add(name="PredictionResponse")
    response.field.add(name="prediction", number=1, type=_Field.TYPE_BYTES, label=_Field.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = (pool.FindMessageTypeByName(f"bench.naive.{name}") for name in ("PredictionsRequest", "PredictionResponse"))
    first, second = (message_factory.GetMessageClass(descriptor) for descriptor in found)
    return first, second


_REQUEST, _RESPONSE = _messages()
