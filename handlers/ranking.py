"""The ranking archive's handler. TorchServe wants exactly one class here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlers.gather import history_slots
from handlers.ranker import Ranker, retrieval_scores
from handlers.retriever import Retriever, as_vectors
from handlers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from handlers.items import ResidentItems
    from handlers.job import Job
    from handlers.worker import Context


class RankingHandler:
    """Scores candidates for each query of a job, wherever they came from.

    history [B, L], user_categories [B, Uc], user_numbers [B, Un], rows [B, C] -> the ranking model's scores and the retrieval
    scores behind them, float32 [B, C]. With user_vector [B, M * d], which an earlier retrieval gave, the history is not encoded
    again.
    """

    inputs: tuple[str, ...] = ("history", "user_categories", "user_numbers", "user_vector", "rows")

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
        history, candidates = history_slots(items, job["history"]), items.slots_of(job["rows"])
        given = job.arrays.get("user_vector")
        users = self._retriever.user_vectors(items, history) if given is None else as_vectors(items, given)
        retrieval = retrieval_scores(items, users, candidates)
        scores = self._ranker.scores(items, history, job.arrays, candidates, retrieval)
        return {"scores": scores.cpu().numpy(), "retrieval": retrieval.cpu().numpy()}
