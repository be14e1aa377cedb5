import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from banquet.training.models.ranking import Ranker, RankerShape
from banquet.training.models.retrieval import ItemWidths
from banquet.training.models.served_ranking import ServedRanker, with_constant

shapes = st.builds(
    RankerShape,
    items=st.just(ItemWidths(5, (3,), 0, 1)),
    activity=st.integers(0, 3),
    user_categories=st.just((4,)),
    user_numbers=st.just(2),
    item_dim=st.integers(1, 9),
    user_dim=st.integers(1, 7),
    attention_dim=st.integers(1, 5),
    cross_layers=st.integers(0, 4),
    cross_rank=st.integers(1, 4),
    hidden=st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple),
    dropout=st.just(0.1),
)


def trained(shape: RankerShape) -> Ranker:
    """Every weight is something, as after training."""
    model = Ranker(shape)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    model.score_mean.fill_(1.5)
    model.score_scale.fill_(0.7)
    return model.eval()


@settings(max_examples=150, deadline=None)
@given(
    shape=shapes,
    batch=st.integers(1, 4),
    candidates=st.integers(1, 6),
    length=st.integers(1, 6),
    data=st.data(),
    seed=st.integers(0, 2**16),
)
def test_serving_computes_what_training_learned(
    shape: RankerShape, batch: int, candidates: int, length: int, data: st.DataObject, seed: int
) -> None:
    """Both heads agree for whatever widths, numbers of layers and histories, none at all and holes among them."""
    torch.manual_seed(seed)
    model = trained(shape)
    width = shape.item_dim + shape.activity
    mask = torch.tensor(
        [data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=length, max_size=length)) for _ in range(batch)]
    )
    user, history = torch.randn(batch, shape.user_dim), torch.randn(batch, length, width)
    items, scores = torch.randn(batch, candidates, width), torch.randn(batch, candidates)
    lines = with_constant(items.flatten(0, 1)).reshape(batch, candidates, width + 1)
    had = with_constant(history.flatten(0, 1)).reshape(batch, length, width + 1)
    with torch.no_grad():
        expected = model(user[:, None], history, mask[:, None], items, scores)
        got = ServedRanker(model)(user, had * mask[..., None], mask, lines, scores)
    for value, wanted in zip(got, expected, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-4, atol=1e-4 * max(1.0, float(wanted.abs().max())))
