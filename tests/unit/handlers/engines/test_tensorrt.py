"""The running half of the TensorRT engine, on a library that computes on this machine's memory; tests/gpu has the real one."""

from __future__ import annotations

import json
import logging

import pytest
import torch

from handlers.engines import buckets, tensorrt
from handlers.engines.eager import CPU, EagerEngine
from handlers.engines.engine import EngineFailed
from handlers.engines.lanes import InlineLane
from handlers.engines.parity import check_parity
from handlers.engines.plan_cache import PlanCache
from handlers.engines.plans import Plan, recipe_for
from handlers.engines.tensorrt import TensorRtEngine, load_plan
from handlers.engines.trt_library import Library
from handlers.release_files import ReleaseFiles
from tests.unit.handlers.engines import fake_tensorrt
from tests.unit.handlers.engines.test_buckets import GRAPHS, feeds_of

LIBRARY = Library(fake_tensorrt, "tensorrt_fake", "1.0")


@pytest.fixture(scope="module")
def release(model_dir):
    return ReleaseFiles(model_dir / "release", GRAPHS)


@pytest.fixture
def load(release, tmp_path, monkeypatch):
    """load("ranker") -> a graph by a plan out of `tmp_path`; `load.built` lists the plans built."""
    built = []

    def build(recipe, library):
        built.append(recipe.shapes.graph)
        return Plan(fake_tensorrt.plan_of(recipe), (), ())

    def load(graph: str):
        recipe = recipe_for(release, graph, LIBRARY, target="sm89")
        return load_plan(recipe, LIBRARY, PlanCache(tmp_path), InlineLane(CPU), release.manifest.schema.history_length)

    monkeypatch.setattr(tensorrt, "build_plan", build)
    monkeypatch.setattr(buckets, "QUERIES", (1, 4))
    monkeypatch.setattr(buckets, "CANDIDATES", (8, 32))
    load.built = built
    return load


def test_plans_compute_what_the_release_promises(release, load, tmp_path):
    """They pass the gate at every size, and their manifests then tell by how much and where."""
    loaded = {graph: load(graph) for graph in ("history_encoder", "ranker")}
    errors = check_parity(release, loaded)
    feeds = feeds_of(release, "ranker", 6, 50)
    expected = EagerEngine(1).load(release, "ranker").run(feeds)["scores"]
    torch.testing.assert_close(loaded["ranker"].run(feeds)["scores"], expected)
    loaded["ranker"].passed(errors["ranker"])
    manifest = json.loads((tensorrt_folder(release, tmp_path) / "manifest.json").read_bytes())
    assert (manifest["parity_error"], manifest["gpu"]) == (errors["ranker"], "cpu")


def test_a_plan_is_built_once(load):
    """The next start finds it, with the kernels that were compiled for it."""
    load("ranker")
    load("ranker")
    assert load.built == ["ranker"]


def test_kernels_are_kept_for_the_next_start(release, load, tmp_path):
    """What the first start compiled is what the second begins with."""
    load("ranker")
    load("ranker")
    assert (tensorrt_folder(release, tmp_path) / "runtime.cache").read_bytes() == b"kernel " * 2


def test_a_plan_that_the_library_cannot_read_is_put_aside_and_built_anew(release, load, tmp_path, caplog):
    """Another driver or GPU than the plan was made with costs a build, not the engine."""
    recipe = recipe_for(release, "ranker", LIBRARY, target="sm89")
    PlanCache(tmp_path).get(recipe, lambda: Plan(b"of another driver", (), ()))
    with caplog.at_level(logging.WARNING):
        load("ranker")
    assert load.built == ["ranker"]
    assert "put aside" in caplog.text
    assert (tensorrt_folder(release, tmp_path) / "plan").read_bytes().startswith(fake_tensorrt.READABLE)


def test_a_plan_that_cannot_be_read_even_when_new_costs_the_engine(load, monkeypatch):
    """It is not built again and again."""
    monkeypatch.setattr(fake_tensorrt.Runtime, "deserialize_cuda_engine", lambda self, plan: None)
    with pytest.raises(EngineFailed, match=r"tensorrt_fake 1\.0 cannot read the plan in .* that it built"):
        load("ranker")


def test_a_refusal_of_the_library_costs_the_engine(load, monkeypatch):
    """What it returned False for is named."""
    monkeypatch.setattr(fake_tensorrt.Context, "set_input_shape", lambda self, name, shape: False)
    with pytest.raises(EngineFailed, match=r"TensorRT cannot take history \[1, 8, 16\]"):
        load("history_encoder")


def test_what_cannot_be_captured_runs_all_the_same(release, load, monkeypatch, caplog):
    """Without a CUDA graph, and the log says so."""
    monkeypatch.setattr(fake_tensorrt.Context, "is_stream_capturable", lambda self, stream: False)
    with caplog.at_level(logging.WARNING):
        check_parity(release, {"history_encoder": load("history_encoder")})
    assert "runs without a CUDA graph" in caplog.text


def test_without_a_gpu_the_engine_says_what_it_needs(release, tmp_path):
    """A required backend that cannot be had names the remedy."""
    with pytest.raises(EngineFailed, match="needs a CUDA device"):
        TensorRtEngine(1, CPU, "fp32", tmp_path).load(release, "ranker")
    with pytest.raises(EngineFailed, match="set BANQUET_ENGINES_DIR"):
        TensorRtEngine(1, torch.device("cuda"), "fp32", None).load(release, "ranker")


def tensorrt_folder(release, root):
    return PlanCache(root).place(recipe_for(release, "ranker", LIBRARY, target="sm89"))
