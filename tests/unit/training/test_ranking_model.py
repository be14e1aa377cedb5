import torch

from banquet.training.models.ranking import MOST_LOG_ODDS, Ranker, RankerShape, item_features
from banquet.training.models.retrieval import MOST_DEVIATION, ItemWidths

S, A, U = 8, 2, 6


def ranker() -> Ranker:
    torch.manual_seed(0)
    shape = RankerShape(
        ItemWidths(5, (3,), 0, 1),
        activity=A,
        user_categories=(4,),
        user_numbers=2,
        item_dim=S,
        user_dim=U,
        attention_dim=4,
        cross_layers=2,
        cross_rank=3,
        hidden=(8, 4),
        dropout=0.1,
    )
    model = Ranker(shape)
    torch.nn.init.normal_(model.heads.weight)
    return model.eval()


def inputs(batch: int = 2, candidates: int = 3, length: int = 5) -> dict[str, torch.Tensor]:
    return {
        "user": torch.randn(batch, 1, U),
        "history": torch.randn(batch, length, S + A),
        "mask": torch.ones(batch, 1, length),
        "candidates": torch.randn(batch, candidates, S + A),
        "retrieval_scores": torch.randn(batch, candidates),
    }


def test_a_new_ranker_keeps_the_retrieval_order() -> None:
    """Before it has learned anything its correction is nothing: it cannot start worse."""
    given = inputs()
    model = ranker()
    torch.nn.init.zeros_(model.heads.weight)
    correction, like = model(**given)
    torch.testing.assert_close(model.score(given["retrieval_scores"], correction, like), given["retrieval_scores"])


def test_no_history_is_no_opinion() -> None:
    """All padding pools to zeros, whatever stands in the padding."""
    given = inputs()
    given["mask"] = torch.zeros(2, 1, 5)
    click, _ = ranker()(**given)
    click_of_other, _ = ranker()(**{**given, "history": torch.randn(2, 5, S + A)})
    assert torch.isfinite(click).all()
    torch.testing.assert_close(click, click_of_other)


def test_each_candidate_is_scored_for_itself() -> None:
    """A candidate's score does not depend on the others in the list."""
    given = inputs()
    click, like = ranker()(**given)
    alone = {**given, "candidates": given["candidates"][:, 1:2], "retrieval_scores": given["retrieval_scores"][:, 1:2]}
    one_click, one_like = ranker()(**alone)
    torch.testing.assert_close(click[:, 1:2], one_click)
    torch.testing.assert_close(like[:, 1:2], one_like)


def test_a_mask_per_candidate_hides_the_future() -> None:
    """In training each candidate sees its own part of the history, the same as being served with that part."""
    given = inputs(batch=1, candidates=5)
    given["mask"] = torch.tril(torch.ones(5, 5))[None]
    click, _ = ranker()(**given)
    served = {**given, "history": given["history"][:, :2], "mask": torch.ones(1, 1, 2)}
    torch.testing.assert_close(ranker()(**served)[0][:, 1], click[:, 1])


def test_both_heads_join_the_served_score() -> None:
    """Each by its weight; with both weights at 0 it is the retrieval score."""
    model = ranker()
    scores, correction, like = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), torch.tensor([[-3.0, 3.0]])
    model.click_weight.fill_(1.0)
    model.like_weight.fill_(0.5)
    assert model.score(scores, correction, like)[0].argmax() == 1
    model.like_weight.fill_(0.0)
    assert model.score(scores, correction, like)[0].argmax() == 0
    model.click_weight.fill_(0.0)
    torch.testing.assert_close(model.score(scores, correction, like), scores)


def test_no_item_can_overturn_an_order_beyond_its_bounds() -> None:
    """However far a retrieval score or a counter lies from anything in training, both heads stay within their log-odds."""
    given = inputs()
    given["candidates"] = item_features(torch.randn(2, 3, S), torch.full((2, 3, A), 1e6))
    given["retrieval_scores"] = torch.full((2, 3), -1e4)
    model = ranker()
    torch.nn.init.normal_(model.heads.weight, std=50.0)
    for log_odds in model(**given):
        assert (log_odds.abs() <= MOST_LOG_ODDS).all()
    just_beyond = {**given, "retrieval_scores": torch.full((2, 3), -MOST_DEVIATION)}
    torch.testing.assert_close(model(**given), model(**just_beyond))
