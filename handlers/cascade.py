"""The cascade archive's handler: retrieval and ranking in one call. TorchServe wants exactly one class here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlers.gather import history_slots
from handlers.ranker import Ranker
from handlers.retriever import Retriever
from handlers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from handlers.items import ResidentItems
    from handlers.job import Job
    from handlers.worker import Context


class CascadeHandler:
    """Finds the best items for each query of a job and scores them with the ranking model; the order stays the retrieval's.

    history [B, L], seen [B, S], limit [B, 1], user_categories [B, Uc], user_numbers [B, Un] -> rows int32 [B, K], retrieval
    scores float32 [B, K], ranking float32 [B, K], user_vector float32 [B, M * d]. With allowed, int32 [B, ceil(N / 32)], only
    rows whose bits are set in it are found.
    """

    inputs: tuple[str, ...] = ("history", "seen", "limit", "allowed", "user_categories", "user_numbers")

    def initialize(self, context: Context) -> None:
        graphs = ("item_encoder", "history_encoder", "ranker_items", "ranker")
        self.work(Worker.of_archive(context, graphs=graphs, inputs=self.inputs))

    def work(self, worker: Worker) -> None:
        self._worker = worker
        self._retriever = Retriever(self._worker.graphs["history_encoder"], self._worker.indexes)
        self._ranker = Ranker(self._worker.graphs["ranker"])

    def handle(self, requests: list[Mapping[str, object]], _context: Context) -> list[bytes]:
        return [self._worker.answer(request, self.predict) for request in requests]

    def predict(self, job: Job, items: ResidentItems) -> dict[str, NDArray[Any]]:
        history = history_slots(items, job["history"])
        user_vectors = self._retriever.user_vectors(items, history)
        slots, scores = self._retriever.best(items, user_vectors, job["seen"], job["limit"], job.arrays.get("allowed"))
        ranking = self._ranker.scores(items, history, job.arrays, slots, scores.nan_to_num())
        return {
            "rows": items.rows_of(slots),
            "scores": scores.cpu().numpy(),
            "ranking": ranking.cpu().numpy(),
            "user_vector": user_vectors.flatten(1).cpu().numpy(),
        }
