"""`banquet release optimize` says what is wrong before it computes anything."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from banquet.app.cli import app


@pytest.fixture
def refused(tmp_path):
    def refused(*words) -> str:
        result = CliRunner().invoke(app, ["release", "optimize", *words, "--releases", str(tmp_path)])
        assert result.exit_code == 2, result.output
        assert not list(tmp_path.iterdir())
        return result.output

    return refused


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "nothing to do; ask for --quantize, --prune or --distill"),
        (("--quantize", "int4"), "no precision 'int4'; choose one of: int8, bf16, fp16"),
        (("--prune", "1.5"), "cannot prune a share of 1.5"),
        (("--prune", "0"), "cannot prune a share of 0"),
        (("--distill",), "no release is in force; train one"),
        (("abcdef123456", "--distill"), "no release 'abcdef123456'"),
    ],
)
def test_what_cannot_be_done_is_named(refused, words, told) -> None:
    """One line, exit code 2, and nothing is written."""
    assert told in " ".join(refused(*words).split())
