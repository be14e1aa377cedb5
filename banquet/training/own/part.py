"""One of somebody's modules: what it takes, what it gives, and its export; each mistake told in one line with its remedy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from banquet.core.errors import BadModels
from banquet.training.export import Exported, OtherAnswers
from banquet.training.graphs import HISTORY_AXES, ITEM_AXES, RANKER_AXES, Graph
from banquet.training.own.calling import AtFullLength, Called, asked, taken
from banquet.training.own.model_file import told

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from banquet.training.own.model_file import ModelFile
    from banquet.wire.schema import FeatureSchema

AXES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "item_encoder": ITEM_AXES,
    "history_encoder": HISTORY_AXES,
    "ranker_items": ITEM_AXES,
    "ranker": RANKER_AXES,
}
OUTPUTS = {"item_encoder": "vectors", "history_encoder": "user_vector", "ranker_items": "features", "ranker": "scores"}
# What the same question may differ by, beside a thousandth of the value, when it is asked in another batch.
TOLERANCE = 1e-3
ITEMS_AT_ONCE = 8192


@dataclass(frozen=True)
class Part:
    """`inputs` is an example of all that serving has for it on this dataset, by name."""

    file: ModelFile
    function: str
    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        self.check_parameters()

    @property
    def place(self) -> str:
        return f"{self.file.path}: {self.function}(data): {self.name} ({type(self.module).__name__})"

    def check_parameters(self) -> None:
        """Raises `BadModels` naming a parameter of `forward` that serving has no input for, as making a part does."""
        known = AXES[self.name]
        for name, parameter in asked(self.module).items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise self.wrong(f"forward has a parameter {parameter}", f"name each input: {', '.join(known)}")
            if name not in known and parameter.default is parameter.empty:
                raise self.wrong(f"forward has an unknown parameter {name!r}", f"it may take: {', '.join(known)}")
            if name in known and name not in self.inputs and parameter.default is parameter.empty:
                raise self.wrong(f"forward takes {name!r}, of which this dataset has none", f"drop it, or write {name}=None")
        if not taken(self.module, self.inputs):
            raise self.wrong("forward takes no input", f"let it take some of: {', '.join(known)}")

    def run(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Its output for some inputs. Raises `BadModels` when it fails, or gives anything but finite float32."""
        try:
            with torch.no_grad():
                output = self.module(**{name: inputs[name] for name in taken(self.module, inputs)})
        except Exception as error:
            shapes = ", ".join(f"{name} {tuple(values.shape)}" for name, values in inputs.items() if name in asked(self.module))
            raise self.wrong(
                f"failed on inputs of this dataset ({shapes}): {told(error, self.file.path)}",
                f"docs/models.md has what comes in{self._hint()}",
            ) from error
        if not isinstance(output, torch.Tensor):
            raise self.wrong(f"gives a {type(output).__name__}", "return one tensor")
        if output.dtype != torch.float32:
            raise self.wrong(f"gives {output.dtype}", "return float32, such as `output.float()`")
        return output

    def lines(self, items: Mapping[str, Tensor]) -> Tensor:
        """Of an item module for all items [N, width], checked."""
        count = len(items["index"])
        parts = [
            self.run({name: values[at : at + ITEMS_AT_ONCE] for name, values in items.items()})
            for at in range(0, count, ITEMS_AT_ONCE)
        ]
        lines = torch.cat(parts)
        self.check_shape(lines, f"one line per item: ({count}, width)", fits=lines.shape[:-1] == (count,))
        self.check_finite(lines, "for an item of this dataset")
        alone = self.run({name: values[:1] for name, values in items.items()})
        self.check_same(alone, lines[:1], "gives an item another line alone than among others", "let it see one item at a time")
        return lines

    def check_shape(self, output: Tensor, wanted: str, *, fits: bool) -> None:
        if not fits:
            raise self.wrong(f"gives shape {tuple(output.shape)}", f"return {wanted}")

    def check_finite(self, output: Tensor, where: str) -> None:
        if not bool(torch.isfinite(output).all()):
            raise self.wrong(
                f"gives NaN or infinity {where}",
                "an empty history must give numbers: divide by `mask.sum(1).clamp(min=1)`, mask with -1e9",
            )

    def check_same(self, output: Tensor, alone: Tensor, what: str, remedy: str) -> None:
        """Raises `BadModels` when an answer depends on which others it was computed with."""
        if output.shape != alone.shape or not torch.allclose(output, alone, rtol=1e-3, atol=TOLERANCE):
            raise self.wrong(what, remedy)

    def export(self, folder: Path, schema: FeatureSchema) -> Exported:
        """Both forms, written. A module that knows one length of history alone gets all histories at full length."""
        names = taken(self.module, self.inputs)
        called = Called(self.module, names)
        about = {"own": {"file": self.file.path.name, "sha256": self.file.sha256, "module": type(self.module).__name__}}
        example = {name: self.inputs[name] for name in names}
        graph = Graph(self.name, called, AXES[self.name], example, OUTPUTS[self.name], about)
        forms: list[nn.Module] = [called]
        if {"history", "mask"} & set(names):
            forms.append(AtFullLength(called, schema.history_length))
            if any(isinstance(each, nn.RNNBase) for each in self.module.modules()):
                del forms[0]  # torch unrolls these for the length of the example, which takes a while
        for form in forms:
            try:
                return Exported.of(folder, [replace(graph, module=form)], schema)
            except Exception as error:
                if form is forms[-1]:
                    raise self._unexportable(error) from error
        raise AssertionError("the last form returns or raises")

    def wrong(self, what: str, remedy: str) -> BadModels:
        return BadModels(f"{self.place} {what}; {remedy}")

    def _unexportable(self, error: Exception) -> BadModels:
        if isinstance(error, OtherAnswers):
            return self.wrong(
                f"computes something else once exported (differs by {error.gap})",
                "let it depend on its inputs alone, and mask with `(1 - mask) * -1e9`: a bool mask or -inf makes NaN of an empty"
                " history",
            )
        return self.wrong(
            f"cannot be exported by torch.export and ONNX: {told(error, self.file.path)}",
            "use tensor operations alone: no Python `if` or loop on values, sizes from the inputs' shapes, no numpy",
        )

    def _hint(self) -> str:
        return "; an embedding of `index` needs data.index_size rows" if "index" in asked(self.module) else ""
