"""What a good engineer would write in a day: Feast's SDK for the user and the items, TorchServe for retrieval and for ranking."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from banquet.v1 import recommendation_pb2 as pb
from banquet.wire.tensors import pack, unpack

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

    from bench.naive.encoding import Array, Encoder
    from bench.naive.features import FeastFeatures, Rows
    from bench.naive.predictions import TorchServe


class NaiveRecommendations:
    """Answers Recommend: user features -> candidates -> item features -> scores -> the best."""

    def __init__(
        self, features: FeastFeatures, models: TorchServe, encoder: Encoder, *, release: str, candidates: int, history_length: int
    ) -> None:
        self._features = features
        self._models = models
        self._encoder = encoder
        self._release = release
        self._candidates = candidates
        self._history_length = history_length

    async def recommend(
        self,
        request: pb.RecommendRequest,
        _context: ServicerContext[pb.RecommendRequest, pb.RecommendResponse] | None = None,
    ) -> pb.RecommendResponse:
        clock = Clock()
        user = await self._features.user(request.user_id)
        history = list(user["history"][0] or ())[: self._history_length]
        clock.lap("feast_user")
        found = await self._retrieve(history)
        clock.lap("retrieval", found["model_ms"], found["backend"])
        rows = await self._features.items(found["item_ids"] + history)
        clock.lap("feast_items")
        arrays, about = await self._rank(user, rows, found["scores"])
        clock.lap("ranking", float(about["model_ms"]), about["backend"])
        scored = zip(found["item_ids"], arrays["scores"][0].tolist(), rows["available"], strict=False)  # history rows come after
        best = sorted(((score, item) for item, score, available in scored if available), reverse=True)[: request.limit]
        items = [pb.ScoredItem(item_id=item, score=score, source="retrieval") for score, item in best]
        info = pb.AnswerInfo(release=self._release, timings=clock.timings)
        return pb.RecommendResponse(request_id=uuid4().hex, items=items, info=info)

    async def warm_up(self, calls: int) -> None:
        """Calls both models so often that Java has compiled what serves them; Feast needs no warming."""
        user = await self._features.user("nobody")
        found = await self._retrieve([])
        rows = await self._features.items(found["item_ids"])
        for _ in range(calls):
            await self._retrieve([])
            await self._rank(user, rows, found["scores"])

    async def _retrieve(self, history: list[str]) -> dict[str, Any]:
        asked = json.dumps({"history": history, "limit": self._candidates})
        found: dict[str, Any] = json.loads(await self._models.predict("naive_retrieval", asked.encode()))
        return found

    async def _rank(self, user: Rows, rows: Rows, retrieval_scores: list[float]) -> tuple[dict[str, Array], dict[str, str]]:
        tensors = {
            **self._encoder.user(user),
            **self._encoder.items(rows),
            "retrieval_scores": np.array([retrieval_scores], np.float32),
        }
        return unpack(await self._models.predict("naive_ranking", pack(tensors)))


class Clock:
    """Times the steps of one request."""

    def __init__(self) -> None:
        self.timings: list[pb.StageTiming] = []
        self._last_s = time.perf_counter()

    def lap(self, stage: str, model_ms: float = 0.0, backend: str = "") -> None:
        now_s = time.perf_counter()
        elapsed_ms = (now_s - self._last_s) * 1000
        self.timings.append(pb.StageTiming(stage=stage, elapsed_ms=elapsed_ms, model_ms=model_ms, backend=backend))
        self._last_s = now_s
