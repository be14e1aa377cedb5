"""The ranking archive's handler. TorchServe wants exactly one class here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlers.gather import history_slots
from handlers.ranker import Ranker, retrieval_scores
from handlers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from handlers.items import ResidentItems
    from handlers.job import Job
    from handlers.worker import Context


class RankingHandler:
    """Scores candidates for each query of a job.

    history [B, L], user_categories [B, Uc], user_numbers [B, Un], user_vector [B, M * d], rows [B, C] -> scores float32 [B, C].
    """

    inputs: tuple[str, ...] = ("history", "user_categories", "user_numbers", "user_vector", "rows")

    def initialize(self, context: Context) -> None:
        self.work(Worker.of_archive(context, graphs=("item_encoder", "ranker_items", "ranker"), inputs=self.inputs))

    def work(self, worker: Worker) -> None:
        self._worker = worker
        self._ranker = Ranker(self._worker.graphs["ranker"])

    def handle(self, requests: list[Mapping[str, object]], _context: Context) -> list[bytes]:
        return [self._worker.answer(request, self.predict) for request in requests]

    def predict(self, job: Job, items: ResidentItems) -> dict[str, NDArray[Any]]:
        history, candidates = history_slots(items, job["history"]), items.slots_of(job["rows"])
        affinity = retrieval_scores(items, job["user_vector"], candidates)
        return {"scores": self._ranker.scores(items, history, job.arrays, candidates, affinity).cpu().numpy()}
