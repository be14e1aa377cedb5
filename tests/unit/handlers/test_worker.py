"""A worker that cannot keep its promises does not start."""

from __future__ import annotations

import json
import os
import shutil
import sys

import pytest
import torch

from banquet.wire.manifest_file import BadManifest
from handlers.engines.choice import choose
from handlers.engines.engine import EngineFailed
from handlers.own_code import ForeignCode, check_own_code
from handlers.worker import BadWorkerSettings
from tests.unit.handlers.conftest import HANDLERS, ITEMS, NEW_ITEMS
from tests.unit.handlers.reference import job_of, some_queries


def test_the_catalogue_folder_must_be_named(serve):
    """The variable that is missing is named."""
    with pytest.raises(BadWorkerSettings, match="BANQUET_CATALOGUE_DIR"):
        serve("retrieval", BANQUET_CATALOGUE_DIR="")


@pytest.mark.parametrize("threads", ["0", "-1", "many", ""])
def test_threads_are_a_number(serve, threads):
    """A number of threads that is none is refused with what was found."""
    with pytest.raises(BadWorkerSettings, match=f"BANQUET_THREADS='{threads}'"):
        serve("retrieval", BANQUET_THREADS=threads)


def test_a_required_backend_that_is_unknown_stops_the_worker(serve):
    """A worker never serves on another engine than the one required."""
    with pytest.raises(EngineFailed, match="BANQUET_BACKEND='tensorflow'"):
        serve("retrieval", BANQUET_BACKEND="tensorflow")


def test_a_damaged_archive_is_named_by_itself(serve, tmp_path, model_dir):
    """The folder that TorchServe unpacked it into is gone when somebody reads of it: archive and member are named instead."""
    unpacked = tmp_path / "0123abcd"
    shutil.copytree((model_dir / "release").resolve(), unpacked / "release")
    (unpacked / "MAR-INF").mkdir()
    named = {"modelName": "ranking", "modelVersion": "103b0a16f3aa"}
    (unpacked / "MAR-INF/MANIFEST.json").write_text(json.dumps({"model": named}))
    (unpacked / "release/graphs/ranker.onnx").unlink()
    with pytest.raises(BadManifest) as caught:
        serve("ranking", folder=unpacked)
    assert str(caught.value).startswith("ranking-103b0a16f3aa.mar: release/graphs/ranker.onnx: missing")
    assert str(tmp_path) not in str(caught.value)
    (unpacked / "MAR-INF/MANIFEST.json").write_text("[]")
    with pytest.raises(BadManifest, match=r"release/graphs/ranker\.onnx: missing"):
        serve("ranking", folder=unpacked)


@pytest.mark.parametrize("model", HANDLERS)
def test_each_module_has_the_one_class_torchserve_looks_for(model):
    """TorchServe takes the only class defined in the handler's module."""
    module = sys.modules[f"handlers.{model}"]
    own = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]
    assert own == [HANDLERS[model]]


def test_nothing_is_logged_per_request(serve, catalogue, caplog):
    """A log line per request would cost a millisecond each."""
    served = serve("cascade", catalogue)
    caplog.clear()
    served(job_of(some_queries(3, ITEMS + NEW_ITEMS)))
    served({})
    assert not caplog.records


def test_equal_code_from_elsewhere_may_serve(tmp_path):
    """While developing, the PYTHONPATH may come first as long as the code is the archive's."""
    copy_code(tmp_path)
    check_own_code(tmp_path)


def test_other_code_than_the_archives_is_refused(tmp_path):
    """A worker that loaded another Banquet's handlers names the module and the remedy."""
    copy_code(tmp_path)
    (tmp_path / "handlers/ranker.py").write_text("# another version\n")
    with pytest.raises(ForeignCode, match=r"handlers\.ranker was loaded from .*PYTHONPATH"):
        check_own_code(tmp_path)


def copy_code(folder):
    shutil.copytree("handlers", folder / "handlers")
    shutil.copytree("banquet/wire", folder / "banquet/wire")


def test_an_unknown_precision_stops_the_worker(serve):
    """With those there are."""
    with pytest.raises(BadWorkerSettings, match="BANQUET_PRECISION='fp8' is not one of: fp32, fp16, bf16"):
        serve("retrieval", BANQUET_PRECISION="fp8")


def test_a_stand_in_says_whom_it_stands_in_for(serve, catalogue, monkeypatch):
    """Every answer of a fallback names the engine that should have been."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    _, metadata = serve("cascade", catalogue)(job_of(some_queries(2, ITEMS + NEW_ITEMS)))
    assert (metadata["backend"], metadata["instead_of"]) == ("eager", "onnxruntime")


def test_a_worker_whose_gpu_has_failed_ends(serve, catalogue, monkeypatch):
    """TorchServe keeps a worker whose every kernel fails, but starts another for one that ended."""
    served = serve("retrieval", catalogue)

    def fail(*_):
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    def end(code):
        raise SystemExit(code)

    monkeypatch.setattr(served.handler, "predict", fail)
    monkeypatch.setattr("os._exit", end)
    with pytest.raises(SystemExit, match="70"):
        served(job_of(some_queries(2, ITEMS + NEW_ITEMS)))


@pytest.mark.skipif(sys.platform != "linux", reason="threads have policies of their own on Linux")
@pytest.mark.parametrize(("there", "threads", "idle"), [(True, "1", True), (True, "2", False), (False, "1", False)])
def test_a_release_loads_idly_while_others_serve(serve, tmp_path, monkeypatch, there, threads, idle):
    """As far as no thread of an engine would stand back for ever."""
    policies = []

    def watched(*arguments, **options):
        policies.append(os.sched_getscheduler(0))
        return choose(*arguments, **options)

    monkeypatch.setattr("handlers.served.choose", watched)
    marker = tmp_path / "gently"
    if there:
        marker.touch()
    serve("retrieval", BANQUET_GENTLY=str(marker), BANQUET_THREADS=threads)
    assert policies == [os.SCHED_IDLE if idle else os.sched_getscheduler(0)]
