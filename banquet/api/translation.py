"""Requests into queries and answers into responses; whatever a request gets wrong is said here."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import numpy as np

from banquet.api import limits
from banquet.core.catalogue import as_number
from banquet.core.errors import BadRequest
from banquet.core.ids import first_problem, id_problem
from banquet.core.limits import MAX_ID_BYTES
from banquet.core.query import AttributeFilter, Query
from banquet.v1 import recommendation_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from banquet.core.candidates import Candidates
    from banquet.core.catalogue import Catalogue
    from banquet.core.deadline import Deadline
    from banquet.core.ids import KeyTypes
    from banquet.core.stages import Answer


def recommend_query(request: pb.RecommendRequest, deadline: Deadline, catalogue: Catalogue, keys: KeyTypes) -> Query:
    return Query(
        request_id=new_request_id(),
        user_id=checked_key("user_id", request.user_id, keys.user),
        placement=request.placement,
        limit=checked_count("limit", request.limit, 1, limits.MAX_LIMIT),
        deadline=deadline,
        catalogue=catalogue,
        item_id=_page_item(request.context, keys),
        context=_context(request.context),
        exclude_item_ids=_excluded(request.exclude_item_ids, keys),
        filters=_filters(request.filters, catalogue),
        explain=request.explain,
    )


def rank_query(request: pb.RankItemsRequest, deadline: Deadline, catalogue: Catalogue, keys: KeyTypes) -> Query:
    checked_count("item_ids", len(request.item_ids), 1, limits.MAX_RANKED)
    item_ids = _keys("item_ids", tuple(checked_id(f"item_ids[{k}]", item) for k, item in enumerate(request.item_ids)), keys)
    limit = checked_count("limit", request.limit, 0, limits.MAX_RANKED) or len(set(item_ids))
    if request.explain:
        checked_count("limit of an explained answer", limit, 1, limits.MAX_EXPLAINED)
    return Query(
        request_id=new_request_id(),
        user_id=checked_key("user_id", request.user_id, keys.user),
        placement="rank",
        limit=limit,
        deadline=deadline,
        catalogue=catalogue,
        item_id=_page_item(request.context, keys),
        context=_context(request.context),
        item_ids=item_ids,
        explain=request.explain,
    )


def similar_query(request: pb.SimilarItemsRequest, deadline: Deadline, catalogue: Catalogue, keys: KeyTypes) -> Query:
    return Query(
        request_id=new_request_id(),
        user_id=checked_key("user_id", request.user_id, keys.user) if request.user_id else "",
        placement="similar",
        limit=checked_count("limit", request.limit, 1, limits.MAX_LIMIT),
        deadline=deadline,
        catalogue=catalogue,
        item_id=checked_key("item_id", request.item_id, keys.item),
        exclude_item_ids=_excluded(request.exclude_item_ids, keys),
        filters=_filters(request.filters, catalogue),
        explain=request.explain,
    )


def scored_items(answer: Answer) -> list[pb.ScoredItem]:
    """The picks, best first."""
    picks = answer.picks
    ids = answer.query.catalogue.ids_of(picks.rows)
    final = np.where(np.isnan(picks.ranking), picks.scores, picks.ranking).tolist()
    items = [
        pb.ScoredItem(item_id=item_id, score=score, source=picks.source_names[source])
        for item_id, score, source in zip(ids, final, picks.sources.tolist(), strict=True)
    ]
    if answer.query.explain:
        for position, item in enumerate(items):
            item.explanation.CopyFrom(_explanation(picks, position, answer.query.catalogue))
    return items


def answer_info(answer: Answer) -> pb.AnswerInfo:
    """What the answer says about itself."""
    catalogue = answer.query.catalogue
    return pb.AnswerInfo(
        release=answer.release,
        catalogue_version=catalogue.version,
        catalogue_age_s=catalogue.age_s(),
        degradations=[pb.Degradation(stage=lost.stage, reason=lost.reason) for lost in answer.degradations],
        timings=[
            pb.StageTiming(stage=t.stage, elapsed_ms=t.elapsed_ms, model_ms=t.run.model_ms, backend=t.run.backend)
            for t in answer.timings
        ],
    )


def new_request_id() -> str:
    return uuid.uuid4().hex


def checked_id(field: str, value: str, most_bytes: int = MAX_ID_BYTES) -> str:
    size = len(value.encode())
    if not 1 <= size <= most_bytes:
        shown = f"{value[:32]!r}{'...' if len(value) > len(value[:32]) else ''}"
        raise BadRequest(f"{field} {shown} has {size} bytes; allowed: 1 to {most_bytes} bytes")
    return value


def checked_key(field: str, value: str, key_type: str) -> str:
    """The id of a user or an item, spelled as the repo's key is."""
    checked_id(field, value)
    if problem := id_problem(key_type, value):
        raise BadRequest(f"{field} {problem}")
    return value


def optional_id(field: str, value: str, most_bytes: int = MAX_ID_BYTES) -> str:
    return checked_id(field, value, most_bytes) if value else ""


def checked_count(field: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise BadRequest(f"{field} is {value}; allowed: {least} to {most}")
    return value


def _context(context: pb.QueryContext) -> dict[str, str]:
    checked_count("number of context.values", len(context.values), 0, limits.MAX_CONTEXT)
    return {
        checked_id("a name in context.values", name): checked_id(f"context.values[{name!r}]", value)
        for name, value in context.values.items()
    }


def _page_item(context: pb.QueryContext, keys: KeyTypes) -> str:
    return checked_key("context.item_id", context.item_id, keys.item) if context.item_id else ""


def _excluded(item_ids: Sequence[str], keys: KeyTypes) -> tuple[str, ...]:
    checked_count("number of exclude_item_ids", len(item_ids), 0, limits.MAX_EXCLUDED)
    return _keys("exclude_item_ids", tuple(item_ids), keys)


def _keys(field: str, item_ids: tuple[str, ...], keys: KeyTypes) -> tuple[str, ...]:
    if found := first_problem(keys.item, item_ids):
        place, problem = found
        raise BadRequest(f"{field}[{place}] {problem}")
    return item_ids


def _filters(filters: Iterable[pb.AttributeFilter], catalogue: Catalogue) -> tuple[AttributeFilter, ...]:
    filters = list(filters)
    checked_count("number of filters", len(filters), 0, limits.MAX_FILTERS)
    for wanted in filters:
        if wanted.attribute not in catalogue.file.columns:
            known = ", ".join(sorted(catalogue.file.columns))
            raise BadRequest(f"filters.attribute {wanted.attribute[:64]!r} is not in the catalogue; allowed: {known}")
        checked_count(f"number of values of filter {wanted.attribute!r}", len(wanted.values), 1, limits.MAX_FILTER_VALUES)
        wrong = next((value for value in wanted.values if as_number(value) is None), None)
        if wrong is not None and catalogue.file.columns[wanted.attribute].kind == "number":
            raise BadRequest(
                f"filters.values {wrong[:64]!r} of {wanted.attribute!r} is not a number; allowed: numbers, true, false"
            )
    return tuple(AttributeFilter(wanted.attribute, tuple(wanted.values)) for wanted in filters)


def _explanation(picks: Candidates, position: int, catalogue: Catalogue) -> pb.Explanation:
    row = int(picks.rows[position])
    explanation = pb.Explanation(
        source_score=float(picks.scores[position]),
        attributes={name: column.text(row) for name, column in catalogue.file.columns.items()},
    )
    if not np.isnan(picks.ranking[position]):
        explanation.ranking_score = float(picks.ranking[position])
    return explanation
