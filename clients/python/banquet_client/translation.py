"""Between the caller's words and the contract's messages, for the sync and the async client alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banquet.v1 import feedback_pb2, operations_pb2
from banquet.v1 import recommendation_pb2 as pb
from banquet_client import answers, erasure, events, status
from banquet_client.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    AnyResponse = pb.RecommendResponse | pb.RankItemsResponse | pb.SimilarItemsResponse

_MAX_COUNT = 2**32 - 1
_EVENT_TYPES = {name: feedback_pb2.EventType.Value(f"EVENT_TYPE_{name.upper()}") for name in events.EVENT_TYPES}


def text(field: str, value: str) -> str:
    """Checks what protobuf would refuse without naming the field. Raises `InvalidRequest`."""
    if not isinstance(value, str):
        raise InvalidRequest(f"{field} {value!r}: must be text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{field} {value!r}: is not valid Unicode ({error.reason})") from error
    return value


def texts(field: str, values: Iterable[str]) -> list[str]:
    """Checks each text, and that the caller did not hand over one text in place of many. Raises `InvalidRequest`."""
    if isinstance(values, str):
        raise InvalidRequest(f"{field} {values!r}: must be a list of texts, not one text")
    return [text(field, value) for value in values]


def count(field: str, value: int) -> int:
    """Checks that the contract can carry the number; what it may be is the server's to say. Raises `InvalidRequest`."""
    if not isinstance(value, int) or not 0 <= value <= _MAX_COUNT:
        raise InvalidRequest(f"{field} {value!r}: must be a whole number, 0 to {_MAX_COUNT}")
    return value


def attribute_filters(filters: Mapping[str, Iterable[str]] | None) -> list[pb.AttributeFilter]:
    return [
        pb.AttributeFilter(attribute=text("filter attribute", attribute), values=texts(f"filter {attribute}", values))
        for attribute, values in (filters or {}).items()
    ]


def to_event(event: events.Event) -> feedback_pb2.Event:
    message = feedback_pb2.Event(
        event_id=text("event_id", event.event_id),
        type=_EVENT_TYPES[event.type],
        user_id=text("user_id", event.user_id),
        item_id=text("item_id", event.item_id),
        request_id=text("request_id", event.request_id),
        position=event.position,
        value=event.value,
    )
    message.time.FromDatetime(event.time)
    return message


def to_answer(response: AnyResponse) -> answers.Answer:
    info = response.info
    return answers.Answer(
        request_id=response.request_id,
        items=tuple(_recommendation(item) for item in response.items),
        release=info.release,
        catalogue_version=info.catalogue_version,
        catalogue_age_s=info.catalogue_age_s,
        degradations=tuple(answers.Degradation(d.stage, d.reason) for d in info.degradations),
        timings=tuple(answers.Timing(t.stage, t.elapsed_ms, t.model_ms, t.backend) for t in info.timings),
    )


def _recommendation(item: pb.ScoredItem) -> answers.Recommendation:
    explanation = _explanation(item.explanation) if item.HasField("explanation") else None
    return answers.Recommendation(item.item_id, item.score, item.source, explanation)


def _explanation(message: pb.Explanation) -> answers.Explanation:
    ranking_score = message.ranking_score if message.HasField("ranking_score") else None
    return answers.Explanation(message.source_score, ranking_score, dict(message.attributes))


def to_receipt(response: feedback_pb2.RecordEventsResponse | feedback_pb2.StreamEventsResponse) -> events.Receipt:
    return events.Receipt(response.recorded, response.duplicates)


def to_status(response: operations_pb2.GetStatusResponse) -> status.Status:
    release, catalogue = response.release, response.catalogue
    return status.Status(
        ready=response.ready,
        parts=tuple(status.PartStatus(p.part, p.ready, p.detail) for p in response.parts),
        release=status.ReleaseStatus(
            release.version, tuple(status.ModelStatus(m.model, m.backend, m.ready) for m in release.models)
        ),
        catalogue=status.CatalogueStatus(catalogue.version, catalogue.items, catalogue.age_s, tuple(catalogue.columns)),
        placements=tuple(
            status.PlacementStatus(p.placement, tuple(p.sources), tuple(p.filters), p.scorer, p.selector)
            for p in response.placements
        ),
        banquet_version=response.banquet_version,
        uptime_s=response.uptime_s,
        releases=tuple(
            status.ServedRelease(r.version, r.state, r.percent, r.answers, r.errors, r.degraded) for r in response.releases
        ),
    )


def to_erasure(message: operations_pb2.Erasure) -> erasure.Erasure:
    places = tuple(erasure.ErasedPlace(found.place, found.removed, found.left) for found in message.places)
    return erasure.Erasure(message.erasure_id, message.done, places, message.detail)
