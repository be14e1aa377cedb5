"""The kinds of question that callers ask; a release's ranking model is validated for each of them by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from banquet.core.query import Query

# What sets a query's candidates apart: nothing (the whole catalogue), its attribute filters, the caller's own list of them, the
# item on the page; or nothing is known of the user that retrieval could start from.
Question: TypeAlias = Literal["catalogue", "filtered", "slate", "page", "no_history"]
QUESTIONS: tuple[Question, ...] = get_args(Question)


def question_of(query: Query) -> Question:
    """The first that fits: a user without history is one whatever else is asked."""
    if not (query.history_rows >= 0).any():
        return "no_history"
    if query.item_ids:
        return "slate"
    if query.filters:
        return "filtered"
    return "page" if query.item_id else "catalogue"
