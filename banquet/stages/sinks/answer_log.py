"""One log record per answer, with its request id."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from banquet.core.stages import Answer

log = logging.getLogger(__name__)


class AnswerLog:
    """Degraded answers at INFO, whole ones at DEBUG; never user features or item lists."""

    name = "answer_log"

    def take(self, answer: Answer) -> None:
        level = logging.INFO if answer.degradations else logging.DEBUG
        if log.isEnabledFor(level):
            log.log(
                level,
                "answered",
                extra={
                    "request_id": answer.query.request_id,
                    "placement": answer.query.placement,
                    "items": len(answer.picks),
                    "release": answer.release,
                    "catalogue": answer.query.catalogue.version,
                    "elapsed_ms": round(answer.elapsed_ms, 3),
                    "degradations": [f"{lost.stage}: {lost.reason}" for lost in answer.degradations],
                },
            )
