"""Which engine serves, and the gate it has to pass."""

from __future__ import annotations

import json
import logging
import shutil
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from banquet.wire.files import sha256_of
from banquet.wire.manifest_file import BadManifest, encode_manifest
from banquet.wire.tensors import pack, unpack
from handlers.engines.choice import choose
from handlers.engines.eager import EagerEngine
from handlers.engines.engine import EngineFailed
from handlers.engines.onnxruntime import OnnxRuntimeEngine
from handlers.engines.parity import check_parity, top_overlap
from handlers.release_files import ReleaseFiles

GRAPHS = ("item_encoder", "history_encoder", "ranker_items", "ranker")


@pytest.fixture
def folder(model_dir, tmp_path):
    """A copy of the release that a test may spoil."""
    return shutil.copytree((model_dir / "release").resolve(), tmp_path / "release")


def seal_again(folder):
    """Write a manifest that agrees with the files as they are now."""
    body = json.loads((folder / "manifest.json").read_bytes())
    files = {name: sha256_of(folder / name) for name in body["files"]}
    (folder / "manifest.json").write_bytes(encode_manifest({**body, "files": files}))


def tamper_with_golden(folder, tensor, change):
    arrays, _ = unpack((folder / "golden.safetensors").read_bytes())
    (folder / "golden.safetensors").write_bytes(pack({**arrays, tensor: change(arrays[tensor])}))
    seal_again(folder)


def spoil_weights(folder):
    """Make ONNX Runtime compute something else than the programs do."""
    path = folder / "graphs/item_encoder.onnx"
    model = onnx.load(path)
    (weights,) = [tensor for tensor in model.graph.initializer if tensor.name == "colours.weight"]
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * 1.1, weights.name))
    onnx.save(model, path)
    seal_again(folder)


def test_the_best_engine_serves(folder):
    """ONNX Runtime comes first, passes the gate and serves all graphs."""
    loaded = choose(ReleaseFiles(folder, GRAPHS), GRAPHS)
    assert loaded.backend == "onnxruntime"
    assert set(loaded.graphs) == set(GRAPHS)


@pytest.mark.parametrize("engine", [OnnxRuntimeEngine, EagerEngine])
def test_engines_agree_on_the_golden_batch(folder, engine):
    """Each engine computes what the release's own modules computed."""
    release = ReleaseFiles(folder, GRAPHS)
    check_parity(release, {graph: engine(1).load(release, graph) for graph in GRAPHS})


def test_an_engine_that_computes_something_else_is_passed_over_loudly(folder, caplog):
    """The next engine serves, and the log says which one failed, where, and what runs instead."""
    spoil_weights(folder)
    with caplog.at_level(logging.WARNING):
        loaded = choose(ReleaseFiles(folder, GRAPHS), GRAPHS)
    assert loaded.backend == "eager"
    assert "cannot run on onnxruntime: item_encoder/vectors" in caplog.text
    assert "as a fallback" in caplog.text


def test_an_engine_that_is_not_installed_is_passed_over(folder, monkeypatch):
    """A worker without ONNX Runtime serves with torch."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert choose(ReleaseFiles(folder, GRAPHS), GRAPHS).backend == "eager"


def test_a_required_engine_that_cannot_serve_raises(folder):
    """Required means that nothing else will do."""
    spoil_weights(folder)
    with pytest.raises(EngineFailed, match="onnxruntime: item_encoder/vectors"):
        choose(ReleaseFiles(folder, GRAPHS), GRAPHS, backend="onnxruntime")


def test_a_graph_with_other_outputs_is_an_engine_that_failed(folder):
    """A graph in another's place costs the engine, not the worker."""
    (folder / "graphs/item_encoder.onnx").write_bytes((folder / "graphs/ranker_items.onnx").read_bytes())
    seal_again(folder)
    with pytest.raises(EngineFailed, match="item_encoder/vectors: the graph has no such output"):
        choose(ReleaseFiles(folder, GRAPHS), GRAPHS, backend="onnxruntime")


@pytest.mark.parametrize("part", ["graphs/ranker.onnx", "graphs/history_encoder.onnx"])
def test_a_graph_with_other_inputs_is_an_engine_that_failed(folder, part):
    """A graph that cannot run the golden batch costs the engine, not the worker."""
    (folder / part).write_bytes((folder / "graphs/item_encoder.onnx").read_bytes())
    seal_again(folder)
    assert choose(ReleaseFiles(folder, GRAPHS), GRAPHS).backend == "eager"


def test_a_graph_that_cannot_be_read_is_an_engine_that_failed(folder):
    """Rubbish that was sealed as a graph costs the engine, not the worker."""
    (folder / "graphs/ranker.onnx").write_bytes(b"rubbish")
    seal_again(folder)
    assert choose(ReleaseFiles(folder, GRAPHS), GRAPHS).backend == "eager"
    (folder / "programs/ranker.pt2").write_bytes(b"rubbish")
    seal_again(folder)
    with pytest.raises(EngineFailed, match=r"onnxruntime cannot load .*ranker\.onnx.*torch cannot load .*ranker\.pt2"):
        choose(ReleaseFiles(folder, GRAPHS), GRAPHS)


@pytest.mark.parametrize("tensor", ["ranker/out/scores", "history_encoder/out/user_vector", "item_encoder/in/numbers"])
def test_no_engine_serves_a_release_it_cannot_reproduce(folder, tensor):
    """When the golden batch is not what the models compute, every engine is named with its error."""
    tamper_with_golden(folder, tensor, lambda array: array + np.float32(0.5))
    with pytest.raises(EngineFailed, match=r"onnxruntime: .*; eager: "):
        choose(ReleaseFiles(folder, GRAPHS), GRAPHS)


def test_values_that_are_not_numbers_fail_the_gate(folder):
    """NaN is never close enough."""
    tamper_with_golden(folder, "ranker/in/user_numbers", lambda array: np.full_like(array, np.nan))
    with pytest.raises(EngineFailed, match="ranker/scores: largest error nan"):
        choose(ReleaseFiles(folder, GRAPHS), GRAPHS)


def test_errors_too_small_to_see_can_still_change_the_order(folder):
    """Scores crowded within the allowed error are compared by the order they give."""
    release = ReleaseFiles(folder, ("ranker",))

    class Shuffled:
        device = torch.device("cpu")

        def run(self, feeds):
            expected = release.golden("ranker")[1]["scores"]
            return {"scores": torch.from_numpy(np.roll(expected, 1, axis=1))}

        def describe(self):
            return "shuffled"

    with pytest.raises(EngineFailed, match="ranker/scores"):
        check_parity(release, {"ranker": Shuffled()})


def test_overlap_counts_what_belongs_to_the_best():
    """Equal scores at the edge belong; others do not."""
    expected = np.array([[*range(20, 0, -1)]], np.float32) / 2
    assert top_overlap(expected, expected) == 1.0
    assert top_overlap(-expected, expected) == 0.0
    tied = np.ones((1, 20), np.float32)
    assert top_overlap(expected, tied) == 1.0


def test_an_unknown_engine_is_refused_with_those_there_are(folder):
    """A misspelt BANQUET_BACKEND names the choices."""
    with pytest.raises(EngineFailed, match="auto, tensorrt, inductor, onnxruntime, eager"):
        choose(ReleaseFiles(folder, GRAPHS), GRAPHS, backend="tensort")


def test_threads_are_what_was_asked_for(folder, monkeypatch):
    """An engine never takes more threads than it was given, and never spins."""
    release = ReleaseFiles(folder, ("ranker",))
    options = OnnxRuntimeEngine(3).load(release, "ranker")._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize(
    "name", ["graphs/ranker.onnx", "programs/ranker.pt2", "items.safetensors", "golden.safetensors", "manifest.json"]
)
def test_a_changed_file_is_not_loaded(folder, name):
    """A changed byte makes loading fail with the file's name, before anything reads it."""
    path = folder / name
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    with pytest.raises(BadManifest, match=path.name):
        ReleaseFiles(folder, GRAPHS)


def test_a_missing_file_is_named(folder):
    """A part that is not there is named at once."""
    (folder / "programs/ranker.pt2").unlink()
    with pytest.raises(BadManifest, match=r"programs/ranker\.pt2: missing"):
        ReleaseFiles(folder, GRAPHS)


def test_only_the_files_a_handler_needs_must_be_there(folder):
    """An archive carries a part of the release."""
    for form in ("graphs/ranker.onnx", "programs/ranker.pt2", "graphs/ranker_items.onnx", "programs/ranker_items.pt2"):
        (folder / form).unlink()
    assert ReleaseFiles(folder, ("item_encoder", "history_encoder")).inputs("history_encoder") == ["history", "mask"]


def test_a_graph_the_release_does_not_have_is_named(folder):
    """A release trained without a graph says so."""
    with pytest.raises(BadManifest, match="no graph teleporter"):
        ReleaseFiles(folder, ("teleporter",))


def test_only_the_cpus_engines_are_tried_without_a_gpu(folder, caplog):
    """Nothing is said of engines that nobody expects there."""
    with caplog.at_level(logging.INFO):
        loaded = choose(ReleaseFiles(folder, GRAPHS), GRAPHS)
    assert (loaded.backend, loaded.instead_of) == ("onnxruntime", "")
    assert "tensorrt" not in caplog.text


def test_a_gpus_engines_come_first_and_their_failure_is_told(folder, monkeypatch, caplog):
    """TensorRT, then the compiler; what serves instead says whom it stands in for."""
    tried = []

    def fail(engine, *_):
        tried.append(engine.name)
        raise EngineFailed("not today")

    monkeypatch.setattr("handlers.engines.tensorrt.TensorRtEngine.load", fail)
    monkeypatch.setattr("handlers.engines.inductor.InductorEngine.load", fail)
    with caplog.at_level(logging.WARNING):
        loaded = choose(ReleaseFiles(folder, GRAPHS), GRAPHS, device=torch.device("cuda"))
    assert tried == ["tensorrt", "inductor"]
    assert (loaded.backend, loaded.instead_of) == ("onnxruntime", "tensorrt")
    assert "cannot run on tensorrt: not today" in caplog.text


@pytest.mark.parametrize("engine", ["tensorrt", "inductor"])
def test_a_required_engine_of_a_gpu_has_no_stand_in(folder, monkeypatch, engine):
    """Named is named."""

    def fail(*_):
        raise EngineFailed("not today")

    monkeypatch.setattr("handlers.engines.tensorrt.TensorRtEngine.load", fail)
    monkeypatch.setattr("handlers.engines.inductor.InductorEngine.load", fail)
    with pytest.raises(EngineFailed, match=f"{engine}: not today"):
        choose(ReleaseFiles(folder, GRAPHS), GRAPHS, backend=engine, device=torch.device("cuda"))


def test_less_precision_is_allowed_larger_errors_and_no_more(folder):
    """The gate tells how far off a graph was, as a share of the largest value."""
    release = ReleaseFiles(folder, ("ranker",))
    expected = release.golden("ranker")[1]["scores"]

    class Rounded:
        device = torch.device("cpu")

        def __init__(self, error):
            self.scores = torch.tensor(expected)
            self.scores[0, 0] += error * float(np.abs(expected).max())

        def run(self, feeds):
            return {"scores": self.scores}

        def describe(self):
            return "rounded"

    assert check_parity(release, {"ranker": Rounded(0.005)}, "fp16")["ranker"] == pytest.approx(0.005, rel=1e-3)
    for precision, error in (("fp32", 0.005), ("fp16", 0.02), ("bf16", 0.06)):
        with pytest.raises(EngineFailed, match="largest error"):
            check_parity(release, {"ranker": Rounded(error)}, precision)
