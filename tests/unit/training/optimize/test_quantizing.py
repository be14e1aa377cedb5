"""Fewer bits, nearly the same numbers."""

import copy

import pytest
import torch
from torch import nn

from banquet.training.models.retrieval import HistoryEncoder
from banquet.training.optimize.quantizing import PRECISIONS, narrowed, quantize, widened
from tests.unit.training.optimize.conftest import answers

CLOSE = {"int8": 0.03, "bf16": 0.03, "fp16": 0.003}


def bytes_of(module: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_ranker_answers_nearly_the_same(ranker, precision) -> None:
    """Relative to the spread of its answers, from weights of a half or a quarter of the size."""
    before = answers(ranker)
    narrow = copy.deepcopy(ranker)
    quantize(narrow, precision)
    assert (answers(narrow) - before).abs().max() < CLOSE[precision] * before.abs().max()
    assert bytes_of(narrow) < (0.45 if precision == "int8" else 0.6) * bytes_of(ranker)


def test_a_history_is_encoded_nearly_the_same() -> None:
    """Attention and norms too."""
    torch.manual_seed(1)
    encoder = HistoryEncoder(16, 6, blocks=2, heads=2, dropout=0.1).eval()
    given = torch.randn(3, 6, 16), torch.ones(3, 6)
    before = encoder(*given)
    quantize(encoder, "int8")
    assert (encoder(*given) - before).abs().max() < 0.05 * before.abs().max()


def test_each_row_has_its_own_scale() -> None:
    """A row of small numbers beside one of large ones loses nothing by it; a row of zeros stays one."""
    matrix = torch.tensor([[1000.0, -500.0], [0.01, 0.004], [0.0, 0.0]])
    codes, scale = narrowed(matrix, torch.int8)
    assert codes.dtype == torch.int8
    torch.testing.assert_close(widened(codes, scale), matrix, rtol=0.02, atol=0.0)


def test_a_large_buffer_is_narrow_too() -> None:
    """What a graph derives from the weights is read as before and stored in int8."""
    module = nn.Module()
    wide = torch.randn(32, 32)
    module.register_buffer("keys", wide.clone())
    module.register_buffer("single", torch.ones(()))
    quantize(module, "int8")
    torch.testing.assert_close(module.keys, wide, rtol=0.0, atol=0.03)
    assert bytes_of(module) < 0.3 * wide.numel() * 4
    assert module.single.dtype == torch.float32


def test_narrowing_twice_changes_nothing(ranker) -> None:
    """A graph is made of a narrow model and narrowed itself."""
    quantize(ranker, "int8")
    once = answers(ranker)
    quantize(ranker, "int8")
    assert torch.equal(answers(ranker), once)
