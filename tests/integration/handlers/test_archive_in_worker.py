"""An archive in a process of its own, loaded by TorchServe's model loader as TorchServe's worker does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from banquet.releases.archive import build
from tests.release_factory import make_catalogue, make_release

# Run in the worker: refuses what an archive must not need, loads the model, answers one job, tells what it found as JSON.
WORKER = """
import json, sys

REFUSED = {"feast", "grpc", "pyarrow", "pandas", "pydantic", "google", "redis", "typer", "rich", "onnx", "banquet_client"}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in REFUSED:
            raise ImportError(f"{name} is not for workers")

sys.meta_path.insert(0, Refuse())
model, folder, catalogue = sys.argv[1:]

from ts.model_loader import TsModelLoader
service = TsModelLoader().load(model, folder, f"{model}.py", None, 1)

import numpy as np
import banquet.wire.tensors as tensors, handlers.worker
rows = np.array([[-1, 1, 2]], np.int32)
job = {"history": rows, "seen": rows, "limit": np.array([[5]], np.int32),
       "allowed": np.full((1, 2), -1, np.int32), "user_categories": np.array([[1]], np.int32),
       "user_numbers": np.zeros((1, 2), np.float32), "user_vector": np.zeros((1, 16), np.float32), "rows": rows}
payload = bytearray(tensors.pack(job, {"catalogue": catalogue}))
(answer,) = service._entry_point([{"job": payload}], service.context)
arrays, metadata = tensors.unpack(answer)
print(json.dumps({
    "metadata": metadata,
    "shapes": {name: list(array.shape) for name, array in arrays.items()},
    "files": [tensors.__file__, handlers.worker.__file__, sys.modules[model].__file__],
    "banquet": sorted(name for name in sys.modules if name.startswith("banquet.")),
}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def catalogue(folder) -> str:
    return make_catalogue(folder / "catalogue")


@pytest.fixture(scope="module")
def archives(folder) -> dict[str, Path]:
    """Each model's archive, unzipped as TorchServe does it."""
    unzipped = {}
    for built in build(make_release(folder / "releases"), folder / "store"):
        unzipped[built.model] = folder / built.model
        with zipfile.ZipFile(built.path) as zipped:
            zipped.extractall(unzipped[built.model])
    return unzipped


@pytest.fixture
def work(folder, archives, catalogue):
    """work("ranking") -> the worker process, ended; its python path begins with the archive and ends with what is installed."""

    def run(model: str, before: str = "") -> subprocess.CompletedProcess[str]:
        archive = archives[model]
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BANQUET_")},
            "PYTHONPATH": os.pathsep.join(filter(None, [before, str(archive)])),
            "BANQUET_CATALOGUE_DIR": str(folder / "catalogue"),
            "OMP_NUM_THREADS": "1",
        }
        # -P: as for TorchServe's own script, the working directory is not on the path.
        command = [sys.executable, "-P", "-c", WORKER, model, str(archive), catalogue]
        return subprocess.run(command, cwd=archive, env=environment, capture_output=True, text=True, timeout=120, check=False)

    return run


def answer_of(process) -> dict:
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("model", "shapes"),
    [
        ("retrieval", {"rows": [1, 5], "scores": [1, 5], "user_vector": [1, 16]}),
        ("ranking", {"scores": [1, 3], "retrieval": [1, 3]}),
        ("cascade", {"rows": [1, 5], "scores": [1, 5], "ranking": [1, 5], "user_vector": [1, 16]}),
    ],
)
def test_an_archive_serves_with_its_own_code_alone(work, archives, model, shapes):
    """With Banquet installed beside it, the worker still runs the archive's copies, and needs neither Feast nor gRPC."""
    told = answer_of(work(model))
    assert told["shapes"] == shapes
    assert told["metadata"]["backend"] == "onnxruntime"
    assert all(Path(file).is_relative_to(archives[model]) for file in told["files"])
    assert all(name.startswith("banquet.wire") for name in told["banquet"])


def test_a_python_path_with_the_same_code_is_allowed(work):
    """While developing, TorchServe puts the shell's PYTHONPATH before the archive."""
    assert "error" not in answer_of(work("retrieval", before=str(Path.cwd())))["metadata"]


def test_a_python_path_with_other_code_is_refused(work, archives, tmp_path):
    """The worker does not start on another Banquet's handlers, and says why."""
    foreign = tmp_path / "handlers"
    foreign.mkdir()
    for path in (archives["ranking"] / "handlers").rglob("*.py"):
        copy = foreign / path.relative_to(archives["ranking"] / "handlers")
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(path.read_text() + "\n# another version\n")
    process = work("ranking", before=str(tmp_path))
    assert process.returncode != 0
    assert "start TorchServe without PYTHONPATH" in process.stderr


def test_a_changed_byte_in_an_archive_stops_the_worker(work, archives):
    """Loading fails with the changed file's name."""
    path = archives["cascade"] / "release/programs/ranker.pt2"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        process = work("cascade")
    finally:
        path.write_bytes(whole)
    assert process.returncode != 0
    assert "programs/ranker.pt2: changed" in process.stderr
