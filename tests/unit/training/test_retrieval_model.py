import torch

from banquet.training.models.retrieval import HistoryEncoder, ItemEncoder, ItemWidths

DIM, LENGTH = 16, 10


def encoder() -> HistoryEncoder:
    torch.manual_seed(0)
    return HistoryEncoder(DIM, LENGTH, blocks=2, heads=2, dropout=0.2).eval()


def test_padding_changes_nothing() -> None:
    """A short history gives the same vector however far it is padded on the left."""
    history = torch.randn(1, 3, DIM)
    padded = torch.cat([torch.zeros(1, 6, DIM), history], 1)
    mask = torch.tensor([[0.0] * 6 + [1.0] * 3])
    torch.testing.assert_close(encoder()(padded, mask), encoder()(history, torch.ones(1, 3)))


def test_an_empty_history_is_a_zero_vector() -> None:
    """Without a history there is nothing to say, and nothing breaks."""
    vectors = encoder()(torch.zeros(2, 5, DIM), torch.zeros(2, 5))
    assert vectors.shape == (2, DIM)
    assert not vectors.any()


def test_training_states_are_what_serving_computes() -> None:
    """The state after each place is the vector of the history up to it: no place sees the future."""
    history, mask = torch.randn(2, 6, DIM), torch.ones(2, 6)
    states = encoder().states(history, mask)
    for place in range(6):
        alone = encoder()(history[:, : place + 1], mask[:, : place + 1])
        torch.testing.assert_close(states[:, place], alone, rtol=1e-4, atol=1e-5)


def test_an_unknown_item_gets_its_vector_from_its_content() -> None:
    """Two unknown items with other categories have other vectors."""
    items = ItemEncoder(ItemWidths(5, (3,), 0, 0), DIM)
    first, second = items(torch.tensor([0, 0]), torch.tensor([[1], [2]]))
    assert not torch.allclose(first, second)


def test_some_items_train_as_unknown_only_in_training() -> None:
    """Dropping ids teaches the unknown vector; a trained model drops none."""
    items = ItemEncoder(ItemWidths(5, (3,), 0, 0), DIM, id_dropout=1.0)
    index, categories = torch.tensor([4]), torch.tensor([[1]])
    torch.testing.assert_close(items.train()(index, categories), items(torch.tensor([0]), categories))
    assert not torch.allclose(items.eval()(index, categories), items(torch.tensor([0]), categories))
