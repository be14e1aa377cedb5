"""A release's exported program on a device, as a function of its inputs in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.export.passes import move_to_device_pass

from handlers.engines.engine import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from handlers.release_files import ReleaseFiles

    Function = Callable[..., tuple[Tensor, ...]]


def load_program(release: ReleaseFiles, graph: str, device: torch.device) -> Function:
    """Inputs in the graph's order -> outputs in the graph's order. Raises `EngineFailed`."""
    path = release.program(graph)
    try:
        program = torch.export.load(path)
        if device.type != "cpu":
            # What the program makes itself (a range, a constant) was exported with the device it was made on.
            program = move_to_device_pass(program, device)
        return _in_order(program)
    except Exception as error:  # torch's errors share no other base
        raise EngineFailed(f"torch cannot load {path}: {error}") from error


def _in_order(program: Any) -> Function:
    # A program insists on the mix of positional and named arguments it was exported with.
    positional = program.call_spec.in_spec.child(0).num_children
    named = list(program.call_spec.in_spec.child(1).context)
    module = program.module()

    def function(*inputs: Tensor) -> tuple[Tensor, ...]:
        result = module(*inputs[:positional], **dict(zip(named, inputs[positional:], strict=True)))
        return (result,) if isinstance(result, torch.Tensor) else tuple(result)

    return function
