"""Somebody's module, given by name what its `forward` asks for and nothing else."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from torch import Tensor


def asked(module: nn.Module) -> dict[str, inspect.Parameter]:
    """The parameters of its `forward` by name, in order."""
    return dict(inspect.signature(module.forward).parameters)


def taken(module: nn.Module, there: Collection[str]) -> tuple[str, ...]:
    """What `forward` gets of the inputs that are there; those with a default may be absent."""
    return tuple(name for name, parameter in asked(module).items() if name in there or parameter.default is parameter.empty)


def call(module: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
    output: Tensor = module(**{name: inputs[name] for name in taken(module, inputs)})
    return output


def call_each(module: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
    """An item module over inputs [B, C, ...] -> [B, C, width]."""
    output = call(module, {name: values.flatten(0, 1) for name, values in inputs.items()})
    return output.reshape(*inputs["index"].shape, *output.shape[1:])


class Called(nn.Module):
    """The module as a graph of the inputs called `names`, in their order."""

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.module = module
        self.names = tuple(names)

    def forward(self, *inputs: Tensor) -> Tensor:
        output: Tensor = self.module(**dict(zip(self.names, inputs, strict=True)))
        # In ONNX an input that is handed on as it came cannot have the output's name.
        return output.clone() if any(output is each for each in inputs) else output


class AtFullLength(nn.Module):
    """A module that can only be exported for histories of one length (such as `nn.GRU`): shorter ones get padding in front."""

    def __init__(self, called: Called, length: int) -> None:
        super().__init__()
        self.called = called
        self.length = length

    def forward(self, *inputs: Tensor) -> Tensor:
        whole = [
            self._whole(values) if name in ("history", "mask") else values
            for name, values in zip(self.called.names, inputs, strict=True)
        ]
        output: Tensor = self.called(*whole)
        return output

    def _whole(self, values: Tensor) -> Tensor:
        padding = values.new_zeros(values.shape[0], self.length, *values.shape[2:])
        return torch.cat([padding, values], 1)[:, -self.length :]
