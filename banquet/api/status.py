"""Errors become status codes, here and nowhere else."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import grpc

from banquet.api.limits import MAX_MESSAGE_BYTES
from banquet.core.errors import BadRequest, BanquetError, DeadlineUnmeetable, NotThere, Overloaded, StageFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from banquet.api.admission import Admission

    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]

log = logging.getLogger(__name__)

INTERNAL = "internal error; the gateway's log has the details"
STATUS_OF = {
    BadRequest: grpc.StatusCode.INVALID_ARGUMENT,
    NotThere: grpc.StatusCode.NOT_FOUND,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlineUnmeetable: grpc.StatusCode.DEADLINE_EXCEEDED,
    StageFailed: grpc.StatusCode.UNAVAILABLE,
}


def status_of(error: BanquetError) -> grpc.StatusCode:
    return next((status for kind, status in STATUS_OF.items() if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


class Guard:
    """Wraps a handler: an error ends the call with its status and text, a bug with INTERNAL and a log entry.

    Refuses what is too much at once: `calls` and `streams` count apart, since a stream may stay open and idle.
    """

    def __init__(self, calls: Admission, streams: Admission) -> None:
        self._calls = calls
        self._streams = streams

    def __call__(self, handler: Handler) -> Handler:
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                _streaming(handler.stream_stream, self._streams), handler.request_deserializer, handler.response_serializer
            )
        return grpc.unary_unary_rpc_method_handler(
            _unary(handler.unary_unary, self._calls), handler.request_deserializer, handler.response_serializer
        )


class Methods:
    """Where generated code adds services to a server: each handler goes through `guard`, if there is one.

    Services are added as generic handlers alone. For each method that is registered as well, grpc.aio holds a call open and goes
    through all of them for every call that comes in: a tenth of the gateway's own time.
    """

    def __init__(self, server: grpc.aio.Server, guard: Callable[[Handler], Handler] | None = None) -> None:
        self._server = server
        self._guard = guard or (lambda handler: handler)

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Nothing: the same methods come by name."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        guarded = {method: self._guard(handler) for method, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, guarded),))


def _check_size(request: Any) -> None:
    if request.ByteSize() > MAX_MESSAGE_BYTES:
        raise BadRequest(f"message has {request.ByteSize()} bytes; allowed: 0 to {MAX_MESSAGE_BYTES} bytes")


def _unary(handle: Any, admission: Admission) -> Any:
    async def answered(request: Any, context: Context) -> Any:
        try:
            with admission:
                _check_size(request)
                return await handle(request, context)
        except BanquetError as error:
            await context.abort(status_of(error), str(error))
        except grpc.aio.AbortError:
            raise
        except Exception:
            log.exception("bug while answering %s", type(request).__name__)
            await context.abort(grpc.StatusCode.INTERNAL, INTERNAL)

    return answered


def _streaming(handle: Any, admission: Admission) -> Any:
    async def answered(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        try:
            with admission:
                async for response in handle(_checked(requests), context):
                    yield response
        except BanquetError as error:
            await context.abort(status_of(error), str(error))
        except grpc.aio.AbortError:
            raise
        except Exception:
            log.exception("bug while answering a stream")
            await context.abort(grpc.StatusCode.INTERNAL, INTERNAL)

    async def _checked(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for request in requests:
            _check_size(request)
            yield request

    return answered
