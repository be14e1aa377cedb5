"""The engines of a GPU on a GPU: both default models at every size, on streams of their own, as CUDA graphs."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import torch

from banquet.wire.tensors import pack, unpack
from handlers.engines import lanes, tensorrt
from handlers.engines.buckets import BucketedGraph
from handlers.engines.choice import choose
from handlers.engines.eager import EagerEngine
from handlers.engines.engine import EngineFailed
from handlers.engines.inductor import InductorEngine
from handlers.engines.parity import check_parity
from handlers.engines.precision import PRECISIONS
from handlers.engines.tensorrt import TensorRtEngine
from handlers.release_files import ReleaseFiles
from tests.default_release import GRAPHS, default_release
from tests.unit.handlers.conftest import ITEMS, NEW_ITEMS, catalogue, catalogue_dir, model_dir, serve  # noqa: F401 - fixtures
from tests.unit.handlers.engines.test_buckets import feeds_of
from tests.unit.handlers.reference import job_of, some_queries

SIZES = [(1, 1), (1, 500), (3, 130), (16, 1000), (64, 1024), (70, 4100)]
ENGINES = {"tensorrt": TensorRtEngine, "inductor": InductorEngine}


@pytest.fixture(scope="module")
def cuda():
    return torch.device("cuda", 0)


@pytest.fixture(scope="module")
def release():
    return ReleaseFiles(default_release(), GRAPHS)


@pytest.fixture(scope="module")
def load(release, cuda, tmp_path_factory):
    """load("tensorrt", "ranker", "fp16") -> a graph, made once; skips where this GPU has no plans."""
    folder, loaded = tmp_path_factory.mktemp("engines"), {}

    def load(engine: str, graph: str, precision: str = "fp32"):
        key = engine, graph, precision
        if key not in loaded:
            try:
                loaded[key] = ENGINES[engine](1, cuda, precision, folder).load(release, graph)
            except EngineFailed as error:
                if engine == "tensorrt" and ("knows no sm" in str(error) or "not installed" in str(error)):
                    pytest.skip(f"NOT TESTED: {error}")
                raise
        return loaded[key]

    return load


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("engine", ENGINES)
def test_both_default_models_pass_the_gate(release, load, engine, precision):
    """In every precision, within what that precision may be off by."""
    check_parity(release, {graph: load(engine, graph, precision) for graph in GRAPHS}, precision)


@pytest.mark.parametrize(("queries", "candidates"), SIZES)
@pytest.mark.parametrize("graph", ["history_encoder", "ranker"])
@pytest.mark.parametrize("engine", ENGINES)
def test_every_size_computes_what_eager_does(release, load, cuda, engine, graph, queries, candidates):
    """Padded, split or neither."""
    feeds = feeds_of(release, graph, queries, candidates, device=cuda)
    (got,) = load(engine, graph).run(feeds).values()
    (expected,) = EagerEngine(1, cuda).load(release, graph).run(feeds).values()
    assert got.device.type == "cuda"
    torch.testing.assert_close(got, expected, atol=2e-3 * float(expected.abs().max()), rtol=2e-3)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_answer_outlives_the_next_runs(release, load, cuda, engine):
    """Whatever the streams do, a result is the caller's."""
    graph = load(engine, "ranker")
    feeds = [feeds_of(release, "ranker", 4, 100 + number, device=cuda) for number in range(8)]
    alone = [graph.run(feed)["scores"].cpu() for feed in feeds]
    queued = [graph.run(feed)["scores"] for feed in feeds]
    torch.testing.assert_close([scores.cpu() for scores in queued], alone)


@pytest.mark.parametrize("engine", ENGINES)
def test_inputs_still_being_computed_are_waited_for(release, load, cuda, engine):
    """The engine's stream comes after the caller's."""
    graph = load(engine, "history_encoder")
    feeds = feeds_of(release, "history_encoder", 16, 0, device=cuda)
    expected = graph.run(feeds)["user_vector"].cpu()
    busy = torch.randn(4096, 4096, device=cuda)
    late = {name: torch.zeros_like(tensor) for name, tensor in feeds.items()}
    for _ in range(20):
        busy = busy @ busy * 1e-3
    for name, tensor in late.items():
        tensor.copy_(feeds[name])
    torch.testing.assert_close(graph.run(late)["user_vector"].cpu(), expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_runs_are_replays_of_cuda_graphs(load, engine, monkeypatch):
    """Nothing is launched kernel by kernel once a graph is loaded."""
    graph = load(engine, "history_encoder")
    bucketed = graph if isinstance(graph, BucketedGraph) else graph._graph
    assert {runner.__qualname__ for runner in bucketed._runners.values()} == {"CudaLane.captured.<locals>.replay"}


def test_a_capture_is_not_disturbed_by_another_threads_allocations(cuda):
    """A catalogue loads while a graph is captured."""
    lane, stopped = lanes.CudaLane(cuda), threading.Event()

    def allocate():
        while not stopped.is_set():
            torch.empty(1 << 20, device=cuda).fill_(1.0)

    thread = threading.Thread(target=allocate)
    thread.start()
    try:
        values = torch.ones(1000, device=cuda)
        with lane.entered():
            run = lane.captured(lambda: {"twice": values * 2})
        for number in range(5):
            values.fill_(number)
            with lane.entered():
                outputs = run()
            assert float(outputs["twice"].sum()) == 2000 * number
    finally:
        stopped.set()
        thread.join()


def test_a_plan_tells_the_gpu_it_ran_on(release, cuda, tmp_path, monkeypatch):
    """After the gate; and the next start builds nothing."""
    try:
        choose(release, GRAPHS, backend="tensorrt", device=cuda, folder=tmp_path)
    except EngineFailed as error:
        if "knows no sm" in str(error) or "not installed" in str(error):
            pytest.skip(f"NOT TESTED: {error}")
        raise
    manifests = [json.loads(path.read_bytes()) for path in tmp_path.glob("*/sm*/*/manifest.json")]
    assert {manifest["gpu"] for manifest in manifests} == {torch.cuda.get_device_name(cuda)}
    assert all(manifest["parity_error"] <= 1e-3 for manifest in manifests)
    monkeypatch.setattr(tensorrt, "build_plan", None)
    assert choose(release, GRAPHS, backend="tensorrt", device=cuda, folder=tmp_path).backend == "tensorrt"


def test_the_best_engine_that_works_is_chosen(release, cuda, tmp_path):
    """Never the CPU's while the GPU's compiler works."""
    loaded = choose(release, GRAPHS, device=cuda, folder=tmp_path)
    assert loaded.backend in ("tensorrt", "inductor")
    assert {graph.device.type for graph in loaded.graphs.values()} == {"cuda"}


@pytest.mark.parametrize("backend", ["inductor", "eager"])
def test_tables_stay_on_the_gpu_and_answers_are_the_cpus(serve, catalogue, backend):  # noqa: F811 - fixtures
    """A cascade with everything resident answers what ONNX Runtime on the CPU does."""
    job = job_of(some_queries(5, ITEMS + NEW_ITEMS))
    on_cpu, _ = serve("cascade", catalogue, BANQUET_BACKEND="onnxruntime")(job)
    served = serve("cascade", catalogue, BANQUET_BACKEND=backend)
    (answer,) = served.handler.handle([{"job": bytearray(pack(job, {"catalogue": catalogue}))}], None)
    on_gpu, metadata = unpack(answer)
    items = served.catalogues.get(catalogue)
    assert (items.vectors.device.type, items.features.device.type) == ("cuda", "cuda")
    assert metadata["backend"] == backend
    for name in ("scores", "ranking", "user_vector"):
        np.testing.assert_allclose(on_gpu[name], on_cpu[name], atol=2e-3, rtol=2e-3)
