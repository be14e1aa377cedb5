"""The retrieval archive's handler. TorchServe wants exactly one class here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlers.gather import history_slots
from handlers.retriever import Retriever
from handlers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from handlers.items import ResidentItems
    from handlers.job import Job
    from handlers.worker import Context


class RetrievalHandler:
    """Finds the best items for each query of a job.

    history [B, L], seen [B, S], limit [B, 1] -> rows int32 [B, K] best first, scores float32 [B, K], user_vector float32
    [B, M * d], the M vectors that the history encoder gives of a user. With allowed, int32 [B, ceil(N / 32)], only rows whose
    bits are set in it are found.
    """

    inputs: tuple[str, ...] = ("history", "seen", "limit", "allowed")

    def initialize(self, context: Context) -> None:
        self.work(Worker.of_archive(context, graphs=("item_encoder", "history_encoder"), inputs=self.inputs))

    def work(self, worker: Worker) -> None:
        self._worker = worker
        self._retriever = Retriever(self._worker.graphs["history_encoder"], self._worker.indexes)

    def handle(self, requests: list[Mapping[str, object]], _context: Context) -> list[bytes]:
        return [self._worker.answer(request, self.predict) for request in requests]

    def predict(self, job: Job, items: ResidentItems) -> dict[str, NDArray[Any]]:
        user_vectors = self._retriever.user_vectors(items, history_slots(items, job["history"]))
        slots, scores = self._retriever.best(items, user_vectors, job["seen"], job["limit"], job.arrays.get("allowed"))
        return {
            "rows": items.rows_of(slots),
            "scores": scores.cpu().numpy(),
            "user_vector": user_vectors.flatten(1).cpu().numpy(),
        }
