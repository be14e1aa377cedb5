"""What the README tells people to type works."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess

import pytest

from tests.e2e.conftest import PROJECT, Served, banquet

README = (PROJECT / "README.md").read_text()
ASKING = [line for line in re.findall(r"^\| `banquet ([^`]+)`", README, re.MULTILINE) if "--user" in line or "--item" in line]
MAKING = re.findall(r"^make ([a-z-]+)", README, re.MULTILINE)


@pytest.mark.parametrize("line", ASKING)
def test_commands_of_the_readme_work(served: Served, line: str) -> None:
    """Each command of the table, against a running gateway."""
    done = banquet(served.folder, *shlex.split(line), "--address", served.address)
    assert done.returncode == 0, done.stderr


def test_the_python_of_the_readme_works(served: Served) -> None:
    """The snippet prints ten items."""
    (snippet,) = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(snippet.replace("127.0.0.1:7600", served.address), {})
    assert len(printed.getvalue().splitlines()) == 10


def test_the_make_targets_of_the_readme_exist() -> None:
    """`make -n` knows each of them."""
    assert MAKING
    for target in MAKING:
        done = subprocess.run(["make", "-n", target], cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
