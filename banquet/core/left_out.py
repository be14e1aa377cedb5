"""Keeps out what a library would import for nothing."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Nobody(MetaPathFinder):
    """Lets nobody import a module."""

    def __init__(self, module: str) -> None:
        self._module = module

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:  # noqa: ARG002 - the import system's
        if fullname == self._module:
            raise ImportError(fullname)


@contextmanager
def left_out(module: str) -> Iterator[None]:
    """Within, `module` is not found, unless it was imported before; afterwards it is again."""
    if module in sys.modules:
        yield
        return
    nobody = _Nobody(module)
    sys.meta_path.insert(0, nobody)
    try:
        yield
    finally:
        sys.meta_path.remove(nobody)
