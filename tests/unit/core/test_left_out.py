"""A library can be made to do without another one."""

import importlib
import sys

import pytest

from banquet.core.left_out import left_out


def test_a_module_is_not_found_within_and_found_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """And only that one."""
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with left_out("colorsys"):
        with pytest.raises(ImportError, match="colorsys"):
            importlib.import_module("colorsys")
        assert importlib.import_module("wave")
    assert importlib.import_module("colorsys")


def test_what_was_imported_before_stays() -> None:
    """Whoever uses it already goes on."""
    with left_out("json"):
        assert importlib.import_module("json") is sys.modules["json"]
