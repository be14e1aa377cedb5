"""The compiler, on the CPU, where a requirement for it is all that chooses it."""

from __future__ import annotations

import os

import pytest
import torch

from handlers.engines import buckets, inductor
from handlers.engines.choice import choose
from handlers.engines.eager import CPU, EagerEngine
from handlers.engines.engine import EngineFailed
from handlers.engines.inductor import InductorEngine
from handlers.engines.parity import check_parity
from handlers.release_files import ReleaseFiles
from tests.unit.handlers.engines.test_buckets import GRAPHS, feeds_of


@pytest.fixture(scope="module")
def release(model_dir):
    return ReleaseFiles(model_dir / "release", GRAPHS)


@pytest.fixture
def quickly(monkeypatch):
    """As the compiler traces and splits a program, but without its code generator, which takes tens of seconds on a CPU."""
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda program, **options: compile_(program, backend="aot_eager", **options))


def test_a_required_compiler_serves_on_the_cpu(release, monkeypatch, tmp_path):
    """The real one: it passes the gate, and what it compiled is kept where it was told to."""
    monkeypatch.setattr(buckets, "QUERIES", (4,))
    monkeypatch.setenv(inductor.CACHE_DIR, "")
    monkeypatch.delenv(inductor.CACHE_DIR)
    loaded = choose(release, ("item_encoder", "history_encoder"), backend="inductor", folder=tmp_path)
    assert loaded.backend == "inductor"
    assert os.environ[inductor.CACHE_DIR] == str(tmp_path / "inductor")
    assert any((tmp_path / "inductor").rglob("*.cpp"))


@pytest.mark.usefixtures("quickly")
def test_one_program_serves_every_size(release, monkeypatch):
    """It is compiled for one query and for several, and no more."""
    monkeypatch.setattr(buckets, "QUERIES", (1, 4, 16))
    monkeypatch.setattr(buckets, "CANDIDATES", (8, 64))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    graph, compiled = InductorEngine(1, CPU, "fp32").load(release, "ranker"), torch._dynamo.utils.counters["stats"]
    jobs = [feeds_of(release, "ranker", queries, candidates) for queries, candidates in ((1, 8), (3, 60), (20, 70))]
    with torch.inference_mode():
        scores = [graph.run(feeds)["scores"] for feeds in jobs]
    assert compiled["unique_graphs"] == 2
    eager = EagerEngine(1).load(release, "ranker")
    torch.testing.assert_close(scores, [eager.run(feeds)["scores"] for feeds in jobs], atol=1e-4, rtol=1e-4)


@pytest.mark.usefixtures("quickly")
def test_products_are_computed_in_the_precision_asked_for(release, monkeypatch):
    """Half as many bits give another result, near enough for the gate of that precision."""
    monkeypatch.setattr(buckets, "QUERIES", (8,))
    monkeypatch.setattr(buckets, "CANDIDATES", (32,))
    loaded = {graph: InductorEngine(1, CPU, "bf16").load(release, graph) for graph in GRAPHS}
    errors = check_parity(release, loaded, "bf16")
    assert errors["ranker"] > 1e-4
    assert errors["item_encoder"] < 1e-6
    assert loaded["ranker"].run(feeds_of(release, "ranker", 2, 9))["scores"].dtype == torch.float32


def test_a_program_that_cannot_be_compiled_costs_the_engine(release, monkeypatch):
    """Whatever the compiler raises names the graph and is no more than a reason for the next engine."""

    def fail(*_, **__):
        raise SystemError("no compiler")

    monkeypatch.setattr(torch, "compile", fail)
    with pytest.raises(EngineFailed, match="inductor cannot compile ranker: no compiler"):
        InductorEngine(1, CPU, "fp32").load(release, "ranker")


def test_a_program_moves_whole_to_another_device(release):
    """What a program makes itself (ranges, constants) is made where its inputs are."""
    meta = torch.device("meta")
    graph = EagerEngine(1, meta).load(release, "history_encoder")
    assert graph.run({"history": torch.empty(2, 8, 16, device=meta), "mask": torch.empty(2, 8, device=meta)})[
        "user_vector"
    ].shape == (2, 16)
