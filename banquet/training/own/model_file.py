"""Somebody's Python file of models: read, asked for its modules, and blamed by line when it fails."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from dataclasses import dataclass
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from banquet.core.errors import BadModels
from banquet.wire.files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

# Torch's errors go on for pages.
LONGEST_TEXT = 200
RETRIEVAL = "retrieval"
RANKING = "ranking"
ITEM_ENCODER, HISTORY_ENCODER = "item_encoder", "history_encoder"
RANKER_ITEMS, RANKER = "ranker_items", "ranker"
MODULES = {RETRIEVAL: (ITEM_ENCODER, HISTORY_ENCODER), RANKING: (RANKER_ITEMS, RANKER)}
MODULE_NAME = "banquet_own_models"


@dataclass(frozen=True)
class ModelFile:
    """A file that defines `retrieval(data)`, `ranking(data)` or both."""

    path: Path
    sha256: str
    module: ModuleType

    @classmethod
    def load(cls, path: Path) -> ModelFile:
        """Runs the file as Python runs a script, its folder on the path. Raises `BadModels`."""
        if not path.is_file():
            raise BadModels(f"--models {path}: no such file; name a Python file that defines {_either()}")
        # Torch's shortcut through transformers cannot be exported, and makes NaN of a history that is all padding.
        torch.backends.mha.set_fastpath_enabled(False)
        spec = importlib.util.spec_from_file_location(MODULE_NAME, path.resolve())
        if spec is None or spec.loader is None:
            raise BadModels(f"--models {path}: not a Python file; name one whose name ends in .py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[MODULE_NAME] = module
        sys.path.insert(0, str(path.parent.resolve()))
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise BadModels(f"{path}: cannot be run: {told(error, path)}") from error
        finally:
            sys.path.remove(str(path.parent.resolve()))
        made = cls(path, sha256_of(path), module)
        if not any(made.has(function) for function in MODULES):
            raise BadModels(f"{path}: defines neither {_either().replace(' or ', ' nor ')}; define one of them or both")
        return made

    def has(self, function: str) -> bool:
        return callable(getattr(self.module, function, None))

    def modules(self, function: str, data: object) -> dict[str, nn.Module]:
        """What the function returns for `data`, each module by its name, on the CPU and no longer in training."""
        try:
            returned = getattr(self.module, function)(data)
        except Exception as error:
            raise BadModels(f"{self.path}: {function}(data) failed: {told(error, self.path)}") from error
        return {name: self._module(function, name, returned) for name in MODULES[function]}

    def _module(self, function: str, name: str, returned: Any) -> nn.Module:
        module = returned.get(name) if isinstance(returned, dict) else getattr(returned, name, None)
        if isinstance(module, nn.Module):
            return module.cpu().eval()
        wanted = " and ".join(repr(each) for each in MODULES[function])
        found = f"{type(module).__name__} for {name!r}" if module is not None else f"no {name!r}"
        raise BadModels(
            f"{self.path}: {function}(data) returned a {type(returned).__name__} with {found}; return a dict (or a dataclass) "
            f"with the torch modules {wanted}"
        )


def told(error: BaseException, path: Path) -> str:
    """An error in one line, with the last line of the file that led to it."""
    lines = list(_lines(error, path))
    text = shorten(str(error), LONGEST_TEXT, placeholder=" ...") or "no message"
    return f"{'line ' + str(lines[-1]) + ': ' if lines else ''}{type(error).__name__}: {text}"


def _lines(error: BaseException, path: Path) -> Iterator[int]:
    if isinstance(error, SyntaxError) and error.lineno is not None:
        yield error.lineno
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == str(path.resolve()) and frame.lineno is not None:
            yield frame.lineno


def _either() -> str:
    return " or ".join(f"{function}(data)" for function in MODULES)
