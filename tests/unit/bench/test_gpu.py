"""The benchmark that is carried to a GPU: it needs nothing of ours, works, and ranks with the layers that we serve."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import torch

from banquet.training.models.ranking import Ranker, RankerShape
from banquet.training.models.retrieval import ItemWidths
from banquet.training.presets import RankingPreset
from bench import gpu

SCRIPT = Path(gpu.__file__)


def test_it_needs_torch_and_numpy_alone():
    """Whatever else it imports is of Python, or may be missing."""
    tree = ast.parse(SCRIPT.read_text())
    named = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    foreign = {name.split(".")[0] for name in named} - set(sys.stdlib_module_names)
    assert foreign == {"torch", "numpy", "tensorrt", "tensorrt_rtx"}


def test_it_runs_on_the_cpu(tmp_path):
    """Small, from another folder, without compiling: every case has its floor, and TensorRT says why it does not run."""
    script = tmp_path / "gpu.py"
    script.write_bytes(SCRIPT.read_bytes())
    words = ["--device", "cpu", "--small", "--compiler", "eager", "--json", "out.json"]
    subprocess.run([sys.executable, "-I", str(script), *words], cwd=tmp_path, check=True, capture_output=True, timeout=300)
    result = json.loads((tmp_path / "out.json").read_bytes())
    assert result["smoke_test"]
    for work in ("retrieval", "ranking"):
        assert [found["batch"] for found in result[work]] == [1, 2]
        for found in result[work]:
            floor = found["floor"]
            assert floor["ms"] == max(floor["memory_ms"], floor["arithmetic_ms"]) > 0
            assert found["times_the_floor"] > 0
    if not torch.cuda.is_available():
        assert not result["tensorrt"]["runs"]


def test_the_best_in_groups_are_the_best():
    """Selecting groups by their best item loses nothing."""
    torch.manual_seed(0)
    users, items = torch.randn(3, gpu.DIM), torch.randn(gpu.GROUP * 700, gpu.DIM)
    values, numbers = gpu.best_in_groups(users, items)
    expected, places = gpu.best_of(users, items)
    torch.testing.assert_close(values, expected)
    assert torch.equal(numbers, places)


def test_it_ranks_with_the_default_layers():
    """The same weights give the same scores."""
    preset = RankingPreset()
    shape = RankerShape(
        ItemWidths(5, (), 0, 0), gpu.ACTIVITY, (), 2, preset.item_dim, preset.user_dim, preset.attention_dim,
        preset.cross_layers, preset.cross_rank, preset.hidden, 0.0,
    )  # fmt: skip
    ours, theirs = Ranker(shape).eval(), gpu.Ranker().eval()
    torch.nn.init.normal_(ours.heads.weight, std=0.1)
    ours.like_weight.fill_(1.0)
    names = {"pooling.queries": "queries", "pooling.keys": "keys", "heads": "heads"}
    names |= {f"deep.{number}": f"deep.{number}" for number in range(2)}
    names |= {f"crosses.{number}.{way}": f"{way}s.{number}" for number in range(2) for way in ("down", "up")}
    for own, other in names.items():
        theirs.get_submodule(other).load_state_dict(ours.get_submodule(own).state_dict())
    user, history, mask = torch.randn(2, gpu.USER), torch.randn(2, 7, gpu.FEATURES), torch.ones(2, 7)
    candidates, scores = torch.randn(2, 9, gpu.FEATURES), torch.randn(2, 9)
    with torch.no_grad():
        expected = ours.score(scores, *ours(user[:, None], history, mask[:, None], candidates, scores))
        torch.testing.assert_close(theirs(user, history, mask, candidates, scores), expected)
