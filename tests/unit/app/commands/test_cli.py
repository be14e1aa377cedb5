"""The command line as a whole."""

import subprocess
import sys

import pytest
import typer
from typer.core import TyperGroup

from banquet.app.cli import app


@pytest.mark.parametrize(
    "arguments",
    [
        ["recommend"],
        ["recommend", "--user", "u7", "--limit", "many"],
        ["recommend", "--user", "u7", "--limit", "0"],
        ["recommend", "--user", "u7", "--filter", "genres"],
        ["recommend", "--user", "u7", "--filter", "genres="],
        ["similar", "--item", "i1", "--filter", "genres=A", "--filter", "genres=B"],
        ["status", "--timeout-ms", "0"],
        ["cook"],
    ],
)
def test_wrong_usage_is_exit_code_2_without_a_traceback(run, gateway, arguments):
    """The message goes to standard error and nothing to the gateway."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert not gateway.requests


def test_help_lists_the_verbs_and_the_exit_codes(run):
    """What a person needs first is on the first screen."""
    result = run("--help")
    for text in (
        "up",
        "demo",
        "data",
        "train",
        "features",
        "release",
        "recommend",
        "rank",
        "similar",
        "record",
        "status",
        "Exit codes",
    ):
        assert text in result.stdout


def commands(group: TyperGroup, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command and every group, as typed."""
    found = [words]
    for name, command in group.commands.items():
        inner = (*words, name)
        found += commands(command, inner) if isinstance(command, TyperGroup) else [inner]
    return found


@pytest.mark.parametrize("words", commands(typer.main.get_command(app)), ids=" ".join)
def test_help_fits_a_narrow_terminal(run, words):
    """Nothing is cut off at 80 columns."""
    shown = run(*words, "--help", columns=80)
    assert shown.exit_code == 0
    assert "…" not in shown.stdout
    assert all(len(line) <= 80 for line in shown.stdout.splitlines())


def test_version(run):
    """The version is the package's."""
    assert run("--version").stdout.startswith("banquet 0.")


def test_the_command_line_loads_nothing_heavy():
    """Help is instant because torch, feast, pyarrow, numpy and grpc wait until a verb needs them."""
    heavy = ["torch", "feast", "pyarrow", "pandas", "numpy", "grpc", "onnxruntime"]
    program = f"import sys, banquet.app.cli; print(*(name for name in {heavy} if name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []


def test_a_reader_that_has_seen_enough_gets_no_complaint(tmp_path):
    """As `head` in a pipe does, which closes it."""
    command = [
        sys.executable,
        "-c",
        "from banquet.app.cli import main; main()",
        "release",
        "history",
        "--releases",
        str(tmp_path),
    ]
    told = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    told.stdout.close()
    assert told.stderr.read() == ""
    told.wait(10)
