"""A worker's start: its heavy imports give way to others for as long as the file is there, and it runs as if started directly."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from banquet.inference import gently

# Stands in for torch: says under which policy of the scheduler it is imported.
SAYS_POLICY = "import os\nPOLICY = os.sched_getscheduler(0)\n"
WORKER = """
import json, os, sys, torch, onnxruntime
own = os.sched_getscheduler(0)
print(json.dumps([torch.POLICY, onnxruntime.POLICY, own, sys.argv, sys.path[0], __name__]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads have policies of their own on Linux")
@pytest.mark.parametrize("marked", [True, False])
def test_imports_are_idle_while_the_marker_is_there_and_the_worker_never_is(tmp_path, marked):
    """The worker's own policy, arguments, path and name are those of a direct start."""
    folder, marker = tmp_path / "ts", tmp_path / "marker"
    folder.mkdir()
    for name in gently.HEAVY:
        (folder / f"{name}.py").write_text(SAYS_POLICY)
    (folder / "worker.py").write_text(WORKER)
    if marked:
        marker.touch()
    done = subprocess.run(
        [sys.executable, gently.__file__, "-u", str(folder / "worker.py"), "--port", "9000"],
        env={**os.environ, gently.GENTLY: str(marker)},
        capture_output=True,
        check=True,
        text=True,
    )
    torch, ort, own, argv, path, name = json.loads(done.stdout)
    usual = os.sched_getscheduler(0)
    assert torch == ort == (os.SCHED_IDLE if marked else usual)
    assert (own, path, name) == (usual, str(folder), "__main__")
    assert argv == [str(folder / "worker.py"), "--port", "9000"]
