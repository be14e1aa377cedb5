"""What can go wrong with a call. The text of each error carries the server's own message."""

from __future__ import annotations

import grpc


class ClientError(Exception):
    """Any failure of a call."""


class InvalidRequest(ClientError):
    """The request cannot be answered as it stands; the text names field, value and allowed range."""


class NotFound(ClientError):
    """What the request is about does not exist."""


class Unauthenticated(ClientError):
    """The server does not know who is calling."""


class PermissionDenied(ClientError):
    """The caller may not do this."""


class Overloaded(ClientError):
    """More work is queued at the server than it can answer in time, or the message is larger than allowed."""


class DeadlineExceeded(ClientError):
    """No answer came in time."""


class Unavailable(ClientError):
    """The server could not be reached or is shutting down, after every retry that fitted into the deadline."""


class ServerFailed(ClientError):
    """The server broke while answering; the text starts with the gRPC status code."""


_ERRORS: dict[grpc.StatusCode, type[ClientError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
}


def failure_of(error: grpc.RpcError, address: str) -> ClientError:
    """The typed error of a failed call to `address`."""
    code, message = error.code(), error.details() or "no message"
    match code:
        case grpc.StatusCode.UNAVAILABLE:
            return Unavailable(f"{address} is unavailable: {message}")
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded(f"no answer from {address} in time: {message}")
    kind = _ERRORS.get(code)
    return kind(message) if kind else ServerFailed(f"{code.name}: {message}")
