"""TensorRT plans, really parsed and built: for GPUs that this machine does not have."""

from __future__ import annotations

from functools import cache

import pytest
import tensorrt_rtx

from handlers.engines import trt_library
from handlers.engines.engine import EngineFailed
from handlers.engines.plans import PLANNED, build_plan, lower_products, recipe_for
from handlers.engines.trt_library import find_library
from handlers.release_files import ReleaseFiles
from tests.default_release import GRAPHS, ITEMS, default_release

TARGETS = ("sm86", "sm89", "sm120")
LENGTH = 50


@pytest.fixture(scope="module")
def release():
    return ReleaseFiles(default_release(), GRAPHS)


@pytest.fixture(scope="module")
def library():
    return find_library(for_target=True)


@cache
def built(release, library, graph, target="sm89", precision="fp32"):
    return build_plan(recipe_for(release, graph, library, target=target, precision=precision), library)


@pytest.mark.parametrize("target", TARGETS)
def test_the_default_retrieval_model_is_built(release, library, target):
    """Names, types, shapes and profiles of its plan are those of the graph."""
    plan = built(release, library, "history_encoder", target)
    of_queries = [[[1, LENGTH], [1, LENGTH], [1, LENGTH]], [[1, LENGTH], [16, LENGTH], [64, LENGTH]]]
    assert list(plan.inputs) == [
        {"name": "history", "dtype": "float", "shape": [-1, -1, 64], "profiles": widened(of_queries, 64)},
        {"name": "mask", "dtype": "float", "shape": [-1, -1], "profiles": of_queries},
    ]
    assert list(plan.outputs) == [{"name": "user_vector", "dtype": "float", "shape": [-1, 64]}]
    assert len(plan.content) > 1_000_000
    assert all(name in plan.content for name in (b"history", b"mask", b"user_vector"))


@pytest.mark.parametrize("target", TARGETS)
def test_the_default_ranking_model_is_built(release, library, target):
    """For one query and for many, few candidates and thousands; categories stay integers."""
    plan = built(release, library, "ranker", target)
    inputs = {tensor["name"]: tensor for tensor in plan.inputs}
    width = release.manifest.models["ranker_items"]["output_width"]
    assert {name: (tensor["dtype"], tensor["shape"]) for name, tensor in inputs.items()} == {
        "user_categories": ("int64", [-1, 3]),
        "user_numbers": ("float", [-1, 2]),
        "history": ("float", [-1, -1, width]),
        "mask": ("float", [-1, -1]),
        "candidates": ("float", [-1, -1, width]),
        "retrieval_scores": ("float", [-1, -1]),
    }
    pairs = [[[1, 1], [1, 512], [1, 4096]], [[1, 1], [16, 512], [64, 1024]], [[1, 1], [4, 1024], [16, 4096]]]
    assert inputs["retrieval_scores"]["profiles"] == pairs
    assert inputs["candidates"]["profiles"] == widened(pairs, width)
    assert inputs["history"]["profiles"][1] == [[1, LENGTH, width], [16, LENGTH, width], [64, LENGTH, width]]
    assert list(plan.outputs) == [{"name": "scores", "dtype": "float", "shape": [-1, -1]}]
    assert all(name.encode() in plan.content for name in (*inputs, "scores"))


@pytest.mark.parametrize("graph", ["item_encoder", "ranker_items"])
def test_what_encodes_items_could_be_built_too(release, library, graph):
    """TensorRT takes its integers and its table of embeddings, which would grow the plan with the catalogue."""
    plan = built(release, library, graph)
    width = release.manifest.models[graph]["output_width"]
    assert {"name": "index", "dtype": "int64", "shape": [-1], "profiles": [[[1], [8192], [8192]]]} in plan.inputs
    assert plan.outputs[0]["shape"] == [-1, width]
    table_bytes = 4 * ITEMS * (64 if graph == "item_encoder" else 32)
    assert len(plan.content) > table_bytes


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("graph", PLANNED)
def test_plans_of_lower_precision_take_and_give_float32(release, library, graph, precision):
    """The numbers inside are another matter than those outside."""
    whole, lowered = built(release, library, graph), built(release, library, graph, precision=precision)
    assert (lowered.inputs, lowered.outputs) == (whole.inputs, whole.outputs)
    assert lowered.content != whole.content


@pytest.mark.parametrize("graph", PLANNED)
def test_every_product_is_lowered_and_nothing_else(release, library, graph):
    """Between a cast down and a cast up; norms, softmaxes and masks keep float32."""
    trt = library.trt
    builder = trt.Builder(logger := trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    assert parser.parse_from_file(str(release.onnx(graph)))
    before = [network.get_layer(number) for number in range(network.num_layers)]
    products = [layer for layer in before if layer.type == trt.LayerType.MATRIX_MULTIPLY]
    assert lower_products(network, trt, trt.float16) == len(products) > 5
    assert {product.get_output(0).dtype for product in products} == {trt.float16}
    others = [layer.get_output(0).dtype for layer in before if layer.type != trt.LayerType.MATRIX_MULTIPLY]
    assert trt.float16 not in others


def test_the_same_recipe_has_the_same_key(release, library):
    """Whatever decides what a plan is, is in its key; the target and the library have folders of their own."""
    recipe = recipe_for(release, "ranker", library, target="sm89")
    others = [
        recipe_for(release, "history_encoder", library, target="sm89"),
        recipe_for(release, "ranker", library, target="sm89", precision="fp16"),
    ]
    assert recipe.key not in [other.key for other in others]
    assert recipe.key == recipe_for(release, "ranker", library, target="sm120").key


def test_a_gpu_that_the_library_does_not_know_is_named(release, library):
    """With those it knows, and what to install instead."""
    with pytest.raises(EngineFailed, match=r"knows no sm90, only sm75, .*install `tensorrt`"):
        built(release, library, "ranker", "sm90")


def test_what_the_builder_refuses_is_told_in_its_own_words(release, library):
    """Turing has no float32 products in this library."""
    with pytest.raises(EngineFailed, match=r"cannot build ranker in fp32 for sm75: .*FP32 GEMM is not supported.*`fp16` may do"):
        built(release, library, "ranker", "sm75")
    assert built(release, library, "ranker", "sm75", "fp16").content


def test_a_graph_that_cannot_be_parsed_is_named(release, library, tmp_path, monkeypatch):
    """Rubbish costs the engine, not the worker."""
    (tmp_path / "ranker.onnx").write_bytes(b"rubbish")
    monkeypatch.setattr(release, "onnx", lambda graph: tmp_path / "ranker.onnx")
    with pytest.raises(EngineFailed, match=r"cannot parse .*ranker\.onnx"):
        build_plan(recipe_for(release, "ranker", library, target="sm89"), library)


def test_a_library_is_named_when_there_is_none(monkeypatch):
    """With what to install."""
    monkeypatch.setattr(trt_library, "OLDEST", {"tensorrt_rtx": (99, 0)})
    with pytest.raises(EngineFailed, match=r"not installed; pip install 'banquet\[tensorrt\]'"):
        find_library()


def test_the_library_that_is_installed_is_found(library):
    """Here the one that needs no GPU to build."""
    assert (library.package, library.version) == ("tensorrt_rtx", tensorrt_rtx.__version__)
    assert set(TARGETS) < set(library.targets)


def widened(profiles, width):
    return [[[*shape, width] for shape in profile] for profile in profiles]
