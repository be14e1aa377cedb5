"""Plans are built once, by one process, and never used when they are not what their manifest says."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
import torch

from handlers.engines.engine import EngineFailed
from handlers.engines.plan_cache import MOST_ASIDE, PlanCache
from handlers.engines.plans import Plan, Recipe
from handlers.engines.shapes import GraphShapes, TensorShape

SHAPES = GraphShapes("g", (TensorShape("mask", ("B", "L"), (), torch.float32),), ())
RECIPE = Recipe(SHAPES, Path("g.onnx"), {"graphs/g.onnx": "ab"}, ({"B": (1, 2, 3)},), "fp32", "sm89", "tensorrt_rtx", "1.7")


class Builder:
    def __init__(self, content: bytes = b"plan") -> None:
        self.content = content
        self.calls = 0

    def __call__(self) -> Plan:
        self.calls += 1
        return Plan(self.content, ({"name": "mask"},), ())


@pytest.fixture
def cache(tmp_path):
    return PlanCache(tmp_path)


def test_a_plan_is_built_once(cache, tmp_path):
    """It lies where its key, target and library say, and its manifest tells what it is."""
    build = Builder()
    assert cache.get(RECIPE, build).built
    found = cache.get(RECIPE, build)
    assert (found.built, found.read(), build.calls) == (False, b"plan", 1)
    assert found.folder == tmp_path / RECIPE.key / "sm89" / "tensorrt_rtx1.7"
    told = ("graph", "precision", "bytes", "profiles", "onnx")
    assert [found.manifest[name] for name in told] == ["g", "fp32", 4, [{"B": [1, 2, 3]}], {"graphs/g.onnx": "ab"}]


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "plan").write_bytes(b"plam"),
        lambda folder: (folder / "plan").unlink(),
        lambda folder: (folder / "manifest.json").unlink(),
        lambda folder: (folder / "manifest.json").write_bytes(b"{"),
        lambda folder: (folder / "manifest.json").write_text("[]"),
        lambda folder: (folder / "manifest.json").write_text((folder / "manifest.json").read_text().replace('"fp32"', '"fp16"')),
    ],
    ids=["changed", "lost", "no manifest", "half a manifest", "no mapping", "another's manifest"],
)
def test_a_damaged_plan_is_put_aside_and_built_anew(cache, tmp_path, damage):
    """What was there stays for someone to look at, with the reason."""
    damage(cache.get(RECIPE, Builder()).folder)
    assert cache.get(RECIPE, Builder(b"new")).read() == b"new"
    (aside,) = (tmp_path / "quarantine").iterdir()
    assert "manifest" in (aside / "why.txt").read_text()


def test_a_build_that_fails_leaves_nothing(cache):
    """The next one starts afresh."""

    def fail():
        raise EngineFailed("no")

    with pytest.raises(EngineFailed):
        cache.get(RECIPE, fail)
    assert [path.name for path in cache.place(RECIPE).iterdir()] == [".lock"]
    assert cache.get(RECIPE, Builder()).built


def test_two_who_want_the_same_plan_build_it_once(tmp_path):
    """The second waits for the first."""
    build = Builder()

    def slowly():
        time.sleep(0.3)
        return build()

    threads = [threading.Thread(target=lambda: PlanCache(tmp_path).get(RECIPE, slowly)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert build.calls == 1


def test_what_was_learned_of_a_plan_is_kept(cache):
    """GPU, driver and parity error of the last that ran it."""
    found = cache.get(RECIPE, Builder())
    cache.note(found, gpu="L4", parity_error=0.001)
    manifest = json.loads((found.folder / "manifest.json").read_bytes())
    assert (manifest["gpu"], manifest["parity_error"], manifest["sha256"]) == ("L4", 0.001, found.manifest["sha256"])
    assert not cache.get(RECIPE, Builder()).built


def test_only_the_last_few_put_aside_are_kept(cache, tmp_path):
    """A plan that breaks at every start does not fill the disk."""
    for _ in range(MOST_ASIDE + 2):
        cache.put_aside(cache.get(RECIPE, Builder()).folder, "cannot be read")
    assert len(list((tmp_path / "quarantine").iterdir())) == MOST_ASIDE
