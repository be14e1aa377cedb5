"""Whatever the sizes of a job, a graph runs at one of a few."""

from __future__ import annotations

import pytest
import torch

from handlers.engines import buckets
from handlers.engines.buckets import BucketedGraph, Buckets
from handlers.engines.eager import CPU, EagerEngine
from handlers.engines.engine import EngineFailed
from handlers.engines.lanes import InlineLane
from handlers.engines.programs import load_program
from handlers.engines.shapes import shapes_of
from handlers.release_files import ReleaseFiles

GRAPHS = ("item_encoder", "history_encoder", "ranker_items", "ranker")
LENGTH = 8


@pytest.fixture(scope="module")
def release(model_dir):
    return ReleaseFiles(model_dir / "release", GRAPHS)


@pytest.fixture
def bucketed(release, monkeypatch):
    """bucketed("ranker") -> the graph on small buckets and the list of sizes it ran at, one per run."""
    monkeypatch.setattr(buckets, "QUERIES", (1, 2, 4))
    monkeypatch.setattr(buckets, "CANDIDATES", (8, 16))
    monkeypatch.setattr(buckets, "MAX_PAIRS", 32)

    def make(graph: str):
        shapes, program, ran = shapes_of(release, graph), load_program(release, graph, CPU), []

        def compile_(inputs, sizes):
            def run():
                ran.append(dict(sizes))
                return {shapes.outputs[0].name: program(*inputs.values())[0]}

            return run

        return BucketedGraph(shapes, Buckets.of(shapes, LENGTH), compile_, InlineLane(CPU), "small"), ran

    return make


def feeds_of(release, graph, queries, candidates, *, length=None, device=CPU):
    """The golden inputs, repeated and cut to these sizes; histories whole, unless a length is given."""
    feeds = {}
    for name, values in release.golden(graph)[0].items():
        tensor = torch.tensor(values)
        tensor = tensor.repeat(-(-queries // len(tensor)), *[1] * (tensor.ndim - 1))[:queries]
        if name in ("candidates", "retrieval_scores"):
            tensor = tensor.repeat(1, -(-candidates // tensor.shape[1]), *[1] * (tensor.ndim - 2))[:, :candidates]
        if name in ("history", "mask") and length is not None:
            tensor = tensor[:, tensor.shape[1] - length :]
        feeds[name] = tensor.to(device)
    return feeds


@pytest.mark.parametrize(
    ("queries", "candidates", "ran_at"),
    [
        (1, 8, [(1, 8)]),
        (1, 1, [(1, 8)]),
        (3, 5, [(4, 8)]),
        (2, 9, [(2, 16)]),
        (4, 16, [(2, 16)] * 2),
        (1, 40, [(1, 16)] * 2 + [(1, 8)]),
        (5, 20, [(2, 16), (2, 8)] * 2 + [(1, 16), (1, 8)]),
    ],
)
def test_a_run_is_padded_to_a_bucket_or_split_by_it(release, bucketed, queries, candidates, ran_at):
    """The scores are those of the whole job at once, whatever it ran as."""
    graph, ran = bucketed("ranker")
    feeds = feeds_of(release, "ranker", queries, candidates)
    expected = EagerEngine(1).load(release, "ranker").run(feeds)["scores"]
    torch.testing.assert_close(graph.run(feeds)["scores"], expected)
    assert [(sizes["B"], sizes["C"]) for sizes in ran] == ran_at


@pytest.mark.parametrize("length", [1, 5, LENGTH])
def test_a_short_history_ends_where_a_long_one_does(release, bucketed, length):
    """What a longer history left in its place is gone."""
    graph, _ = bucketed("history_encoder")
    graph.run({"history": torch.full((4, LENGTH, 16), 9.0), "mask": torch.ones(4, LENGTH)})
    feeds = feeds_of(release, "history_encoder", 3, 0, length=length)
    expected = EagerEngine(1).load(release, "history_encoder").run(feeds)["user_vector"]
    torch.testing.assert_close(graph.run(feeds)["user_vector"], expected)


def test_an_answer_outlives_the_next_run(release, bucketed):
    """Outputs are copied out of the place that the next run writes to."""
    graph, _ = bucketed("history_encoder")
    feeds = feeds_of(release, "history_encoder", 2, 0)
    first = graph.run(feeds)["user_vector"]
    kept = first.clone()
    graph.run({name: tensor * 0 for name, tensor in feeds.items()})
    assert torch.equal(first, kept)


def test_inputs_that_the_graph_does_not_take_are_left_alone(release, bucketed):
    """A caller gives what it has."""
    graph, _ = bucketed("history_encoder")
    feeds = feeds_of(release, "history_encoder", 2, 0)
    assert set(graph.run({**feeds, "retrieval_scores": torch.zeros(7, 9)})) == {"user_vector"}


def test_every_bucket_is_made_before_anything_runs(bucketed):
    """Nothing is compiled while a query waits, and no bucket has more pairs than there is memory for."""
    graph, ran = bucketed("ranker")
    assert not ran
    assert len(graph._runners) == 5


def test_a_tensor_that_is_not_in_the_contract_is_named(release, monkeypatch):
    """A graph with inputs of its own runs on engines that need not know what they are."""
    monkeypatch.setattr(release, "inputs", lambda graph: ["history", "weather"])
    with pytest.raises(EngineFailed, match="'weather' is not one of: index"):
        shapes_of(release, "history_encoder")
