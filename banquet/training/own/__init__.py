"""Models of your own: docs/models.md. What your functions are given is `RetrievalData` and `RankingData`."""

from banquet.training.own.ranking_data import RankingBatch, RankingData
from banquet.training.own.retrieval_data import RetrievalData

__all__ = ["RankingBatch", "RankingData", "RetrievalData"]
