"""Models of your own: docs/models.md. What your functions are given is `RetrievalData` and `RankingData`."""

from banquet.training.own.ranking_data import Example, RankingBatch, RankingData
from banquet.training.own.retrieval_data import RetrievalData

__all__ = ["Example", "RankingBatch", "RankingData", "RetrievalData"]
