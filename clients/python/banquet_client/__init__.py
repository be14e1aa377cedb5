"""The Python client of Banquet: ask what a user should see, tell what the user did."""

from banquet_client.aio import AsyncBanquetClient
from banquet_client.answers import Answer, Degradation, Explanation, Recommendation, Timing
from banquet_client.client import BanquetClient
from banquet_client.connection import DEFAULT_ADDRESS, Tls
from banquet_client.erasure import ErasedPlace, Erasure
from banquet_client.errors import (
    ClientError,
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    ServerFailed,
    Unauthenticated,
    Unavailable,
)
from banquet_client.events import EVENT_TYPES, MAX_EVENTS_PER_BATCH, Event, EventType, Receipt
from banquet_client.retries import Backoff
from banquet_client.status import CatalogueStatus, ModelStatus, PartStatus, PlacementStatus, ReleaseStatus, ServedRelease, Status

__all__ = [
    "DEFAULT_ADDRESS",
    "EVENT_TYPES",
    "MAX_EVENTS_PER_BATCH",
    "Answer",
    "AsyncBanquetClient",
    "Backoff",
    "BanquetClient",
    "CatalogueStatus",
    "ClientError",
    "DeadlineExceeded",
    "Degradation",
    "ErasedPlace",
    "Erasure",
    "Event",
    "EventType",
    "Explanation",
    "InvalidRequest",
    "ModelStatus",
    "NotFound",
    "Overloaded",
    "PartStatus",
    "PermissionDenied",
    "PlacementStatus",
    "Receipt",
    "Recommendation",
    "ReleaseStatus",
    "ServedRelease",
    "ServerFailed",
    "Status",
    "Timing",
    "Tls",
    "Unauthenticated",
    "Unavailable",
]
