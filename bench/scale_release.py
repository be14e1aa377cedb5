"""A release over as many items as wanted, out of one that was trained on fewer: its users, its ranking, more items like its own.

An item is a point between two neighbours among the trained items' vectors, with noise of the trained vectors' own shape. With so
much noise lists of 3,701 of them find as much as lists of the MovieLens release's own 3,701 (see bench/results/scale.json).
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from banquet.releases import manifest, registry
from banquet.wire.catalogue_file import Strings
from banquet.wire.manifest_file import GOLDEN, ITEMS
from banquet.wire.tensors import pack, unpack
from bench.features.big_store import item_id

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NOISE = 0.3
NEIGHBOURS = 10
MOST_ITEMS = 100_000_000
EXAMPLES = 40


def vectors_like(trained: NDArray[np.float32], items: int, seed: int) -> NDArray[np.float32]:
    """[items, d]: no two alike."""
    draw = np.random.default_rng(seed)
    cosines = trained @ trained.T / np.linalg.norm(trained, axis=1)
    near = np.argsort(-cosines, axis=1)[:, 1 : NEIGHBOURS + 1]
    shape = np.linalg.cholesky(np.cov(trained.T) + 1e-6 * np.eye(trained.shape[1])).astype(np.float32)
    one = draw.permutation(items) % len(trained)
    other = near[one, draw.integers(0, near.shape[1], items)]
    between = draw.random((items, 1), dtype=np.float32)
    noise = draw.standard_normal((items, trained.shape[1]), dtype=np.float32) @ shape.T
    made: NDArray[np.float32] = (1 - between) * trained[one] + between * trained[other] + np.float32(NOISE) * noise
    return made


def enlarged(release: Path, root: Path, items: int, seed: int) -> Path:
    """A sealed release in `root` that was made of `release` and knows the items i0 .. i<items - 1>."""
    its = manifest.load(release)
    trained = unpack((release / ITEMS).read_bytes())[0]["vectors"]
    vectors = vectors_like(trained, items, seed)
    folder = root / "making"
    for part in ("graphs", "programs"):
        shutil.copytree(release / part, folder / part)
    golden = dict(unpack((release / GOLDEN).read_bytes())[0])
    models = {name: dict(described) for name, described in its.models.items()}
    index = torch.from_numpy(np.arange(EXAMPLES) * (items // EXAMPLES))
    _export(folder, "item_encoder", Embedded(vectors), {"index": index}, "vectors", golden)
    models["item_encoder"] |= {"inputs": ["index"]}
    features = torch.export.load(release / "programs/ranker_items.pt2").module()
    inputs = {name: torch.from_numpy(golden[f"ranker_items/in/{name}"].copy()) for name in models["ranker_items"]["inputs"]}
    folded = Folded(features, list(inputs).index("index"), len(trained))
    _export(folder, "ranker_items", folded, inputs | {"index": index[: len(inputs["index"])]}, "features", golden)
    ids = [item_id(number) for number in range(items)]
    strings = Strings.of(ids)
    (folder / ITEMS).write_bytes(pack({"ids.blob": strings.blob, "ids.offsets": strings.offsets, "vectors": vectors}))
    (folder / GOLDEN).write_bytes(pack(golden))
    schema = dataclasses.replace(its.schema, item_ids=tuple(ids))
    told = {"metrics": json.loads(json.dumps(its.metrics)), "dataset": f"{its.dataset} x {items}", "preset": its.preset}
    manifest.seal(folder, schema=schema, models=models, seed=seed, **told)
    place = registry.add(root, folder)
    registry.put_in_force(root, place.name)
    return place


class Embedded(nn.Module):
    """Each item's vector; index 0 is an item nobody knows."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        super().__init__()
        self.table: Tensor
        self.register_buffer("table", torch.from_numpy(np.concatenate([np.zeros_like(vectors[:1]), vectors])))

    def forward(self, index: Tensor) -> Tensor:
        return torch.nn.functional.embedding(index, self.table)


class Folded(nn.Module):
    """A trained graph, for more items than it knows: they share what it knows."""

    def __init__(self, module: nn.Module, place: int, known: int) -> None:
        super().__init__()
        self.module, self.place, self.known = module, place, known

    def forward(self, *inputs: Tensor) -> Tensor:
        given = list(inputs)
        index = given[self.place]
        given[self.place] = torch.where(index > 0, 1 + index % self.known, index)
        result: Tensor = self.module(*given)
        return result


def _export(
    folder: Path, name: str, module: nn.Module, inputs: dict[str, Tensor], output: str, golden: dict[str, NDArray[Any]]
) -> None:
    """Both forms of a graph in place of the ones there, and its example in the golden batch."""
    count = torch.export.Dim("N", min=1, max=MOST_ITEMS)
    for stale in (folder / "graphs").glob(f"{name}.onnx*"):
        stale.unlink()
    for known in [known for known in golden if known.startswith(f"{name}/")]:
        del golden[known]
    arguments = tuple(inputs.values())
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = tuple({0: count} for _ in arguments)
        dynamic = shapes if isinstance(module, Embedded) else (shapes,)
        program = torch.export.export(module, arguments, dynamic_shapes=dynamic)
        torch.export.save(program, folder / "programs" / f"{name}.pt2")
        exported = torch.onnx.export(program, dynamo=True, input_names=list(inputs), output_names=[output], verbose=False)
        assert exported is not None, "the dynamo exporter returns its program"
        exported.save(str(folder / "graphs" / f"{name}.onnx"))
        golden |= {f"{name}/in/{key}": value.numpy() for key, value in inputs.items()}
        golden[f"{name}/out/{output}"] = module(*arguments).numpy()
