"""Hides who was answered from a sink that writes it down."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from banquet.core.pseudonyms import Pseudonyms
    from banquet.core.stages import Answer, Sink


class Pseudonymous:
    """Hands answers on under the pseudonym of their user."""

    def __init__(self, sink: Sink, pseudonyms: Pseudonyms) -> None:
        self.name = sink.name
        self._sink = sink
        self._pseudonyms = pseudonyms

    def take(self, answer: Answer) -> None:
        known = self._pseudonyms.of(answer.query.user_id)
        user = replace(answer.query.user, user_id=known)
        self._sink.take(replace(answer, query=replace(answer.query, user_id=known, user=user)))
