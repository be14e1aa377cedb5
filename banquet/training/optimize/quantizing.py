"""Weights in fewer bits: int8 with a scale per row, or half as many bits of a float. Graphs widen them and compute in float32.

So a release is smaller in every form it is exported to, any engine computes the same, and its golden batch is that of the weights
it really has: the parity gate stays as strict as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from banquet.core.errors import BadSettings

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST_CODE = 127


class NarrowWeight(nn.Module):
    """A matrix [R, C] in fewer bits; for int8 with the scale of each row, itself in 16 bits."""

    narrow: Tensor
    scale: Tensor | None

    def __init__(self, weight: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        scale = None
        if dtype == torch.int8:
            scale = (weight.abs().amax(1, keepdim=True) / LARGEST_CODE).clamp(min=1e-7).to(torch.float16)
            weight = (weight / scale.to(weight.dtype)).round().clamp(-LARGEST_CODE, LARGEST_CODE)
        self.register_buffer("narrow", weight.to(dtype))
        self.register_buffer("scale", scale)

    def forward(self) -> Tensor:
        return self.rows(lambda stored: stored)

    def rows(self, pick: Callable[[Tensor], Tensor]) -> Tensor:
        """What `pick` takes of the rows, widened."""
        wide = pick(self.narrow).to(torch.float32)
        return wide if self.scale is None else wide * pick(self.scale).to(torch.float32)


class NarrowEmbedding(nn.Module):
    """An embedding that widens the rows it is asked for and no others."""

    def __init__(self, embedding: nn.Embedding, dtype: torch.dtype) -> None:
        super().__init__()
        self.table = NarrowWeight(embedding.weight.detach(), dtype)

    def forward(self, index: Tensor) -> Tensor:
        return self.table.rows(lambda stored: stored[index])


class NarrowLinear(nn.Module):
    """A linear layer whose weight is narrow; its bias, a row of few numbers, stays as it is."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.matrix = NarrowWeight(linear.weight.detach(), dtype)
        self.bias = linear.bias

    @property
    def weight(self) -> Tensor:
        return self.matrix.forward()

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.linear(inputs, self.weight, self.bias)


PRECISIONS = {"int8": torch.int8, "bf16": torch.bfloat16, "fp16": torch.float16}


def quantize(module: nn.Module, precision: str) -> None:
    """Narrow every table and linear layer below `module`, in place; norms, biases and single numbers stay float32."""
    if precision not in PRECISIONS:
        raise BadSettings(f"no precision {precision!r}; choose one of: {', '.join(PRECISIONS)}")
    dtype = PRECISIONS[precision]
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Embedding):
            setattr(module, name, NarrowEmbedding(child, dtype))
        elif isinstance(child, nn.Linear):
            setattr(module, name, NarrowLinear(child, dtype))
        else:
            quantize(child, precision)
    module.eval()
