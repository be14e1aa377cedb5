"""Weights in fewer bits: int8 with a scale per row, or half as many bits of a float. Graphs widen them and compute in float32.

So a release is smaller in every form it is exported to, any engine computes the same, and its golden batch is that of the weights
it really has: the parity gate stays as strict as ever.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

PRECISIONS = {"int8": torch.int8, "bf16": torch.bfloat16, "fp16": torch.float16}
LARGEST_CODE = 127
# The smallest scale that 16 bits tell from nothing.
SMALLEST_SCALE = 1e-7
MATRIX = 2
# A buffer with fewer numbers is not worth the two steps that widen it.
LARGE = 256


def narrowed(matrix: Tensor, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """A matrix [R, C] in fewer bits; for int8 with the scale of each row [R, 1], itself in 16 bits."""
    if dtype != torch.int8:
        return (matrix.to(dtype),)
    scale = (matrix.abs().amax(1, keepdim=True) / LARGEST_CODE).clamp(min=SMALLEST_SCALE).to(torch.float16)
    codes = (matrix / scale.to(matrix.dtype)).round().clamp(-LARGEST_CODE, LARGEST_CODE)
    return codes.to(dtype), scale


def widened(narrow: Tensor, scale: Tensor | None = None) -> Tensor:
    """What `narrowed` made, or any rows of it, in float32 again."""
    wide = narrow.to(torch.float32)
    return wide if scale is None else wide * scale.to(torch.float32)


class NarrowMatrix(nn.Module):
    """Buffers that hold a weight in fewer bits."""

    codes: Tensor
    scale: Tensor | None

    def __init__(self, weight: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        codes, *scale = narrowed(weight.detach(), dtype)
        self.register_buffer("codes", codes)
        self.register_buffer("scale", scale[0] if scale else None)


class NarrowEmbedding(NarrowMatrix):
    """An embedding that widens the rows it is asked for and no others."""

    def __init__(self, embedding: nn.Embedding, dtype: torch.dtype) -> None:
        super().__init__(embedding.weight, dtype)

    def forward(self, index: Tensor) -> Tensor:
        return widened(self.codes[index], None if self.scale is None else self.scale[index])


class NarrowLinear(NarrowMatrix):
    """A linear layer whose weight is narrow; its bias, a row of few numbers, stays as it is."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__(linear.weight, dtype)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias

    @property
    def weight(self) -> Tensor:
        return widened(self.codes, self.scale)

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.linear(inputs, self.weight, self.bias)


def store_narrow(module: nn.Module, name: str, dtype: torch.dtype) -> None:
    """Keep a matrix that a module has as a buffer in fewer bits; to whoever reads it under its name, it is wide.

    As `torch.nn.utils.parametrize` does it, which allows no buffer called `keys`.
    """
    codes, *scale = narrowed(getattr(module, name), dtype)
    delattr(module, name)
    module.register_buffer(f"{name}_codes", codes)
    module.register_buffer(f"{name}_scale", scale[0] if scale else None)
    read = property(lambda self: widened(getattr(self, f"{name}_codes"), getattr(self, f"{name}_scale")))
    kind = type(module)
    module.__class__ = type(kind.__name__, (kind,), {name: read})


def quantize(module: nn.Module, precision: str) -> None:
    """Narrow every table, linear layer and large buffer below `module`, in place; what is small stays float32."""
    dtype = PRECISIONS[precision]
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Embedding):
            setattr(module, name, NarrowEmbedding(child, dtype))
        elif isinstance(child, nn.Linear):
            setattr(module, name, NarrowLinear(child, dtype))
        elif not isinstance(child, NarrowEmbedding | NarrowLinear):
            quantize(child, precision)
    for name, buffer in list(module.named_buffers(recurse=False)):
        if buffer.is_floating_point() and buffer.ndim == MATRIX and buffer.numel() >= LARGE:
            store_narrow(module, name, dtype)
    module.eval()
