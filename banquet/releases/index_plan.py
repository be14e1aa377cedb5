"""How a release's items are looked up: all of them or lists of them, as found out by trying when archives are built."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from banquet.core.errors import BadRelease
from banquet.wire.manifest_file import ITEMS
from banquet.wire.tensors import pack, unpack
from handlers.engines.onnxruntime import OnnxRuntimeEngine
from handlers.index.exact import Exact
from handlers.index.ivf import CODES, FaissMissing, Ivf
from handlers.index.keeper import FEW
from handlers.index.lists import Lists
from handlers.index.plan import ARRAYS, FACTS, LEAST_RECALL, RECALL_AT
from handlers.index.recall import best_scores, recall
from handlers.release_files import ReleaseFiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

log = logging.getLogger(__name__)

DEFAULT_CODES = "int8"
# A little more than what is promised: the users that will come are others than those tried.
WANTED = LEAST_RECALL + 0.003
LISTS_PER_ROOT = 4
# One in so many lists is looked into; of those tried, the first with which enough is found.
SHARES = (128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2)
USERS = 128
HISTORY = 20
# A user keeps to what is near the first item this often.
FAITHFUL = 0.6
NEIGHBOURS = 50
AMONG = 100_000


@dataclass(frozen=True, slots=True)
class _All:
    """Every item of a release, as an index takes them; slot 0 is nobody's."""

    vectors: Tensor
    shown: Tensor

    @property
    def hidden(self) -> Tensor:
        return torch.zeros(1, dtype=torch.int64)


def planned(release: Path, codes: str = DEFAULT_CODES) -> dict[str, bytes]:
    """The files that tell workers how to look items up, by name. Raises `BadRelease` for codes there are not.

    The same release and codes give the same plan on the same machine.
    """
    if codes not in CODES:
        raise BadRelease(f"codes {codes!r}: allowed: {', '.join(CODES)}")
    vectors = torch.from_numpy(unpack((release / ITEMS).read_bytes())[0]["vectors"].copy())
    if len(vectors) <= FEW:
        return _exact(vectors, f"up to {FEW} items looking at all of them is as quick")
    lines = _All(torch.cat([torch.zeros(1, vectors.shape[1]), vectors]), torch.arange(len(vectors) + 1) > 0)
    threads = torch.get_num_threads()
    try:
        with torch.inference_mode():
            return _lists(lines, users_of(release, vectors, threads), codes, threads)
    except FaissMissing as missing:
        log.warning("every item will be looked at for every query: %s", missing)
        return _exact(vectors, str(missing))


def users_of(release: Path, vectors: Tensor, threads: int) -> Tensor:
    """What the release's own model makes of made-up histories, most of whose items are near one of them; [Q, d]."""
    draw = np.random.default_rng(0)
    encoder = OnnxRuntimeEngine(threads).load(ReleaseFiles(release, ["history_encoder"]), "history_encoder")
    length = min(HISTORY, ReleaseFiles(release, ["history_encoder"]).manifest.schema.history_length)
    among = torch.from_numpy(draw.choice(len(vectors), min(AMONG, len(vectors)), replace=False))
    histories = torch.stack([vectors[history_near_one(draw, vectors, among, length)] for _ in range(USERS)])
    (users,) = encoder.run({"history": histories, "mask": torch.ones(histories.shape[:2])}).values()
    users = users.reshape(-1, vectors.shape[1])
    return users[users.any(1)][: 2 * USERS].clone()


def history_near_one(draw: np.random.Generator, vectors: Tensor, among: Tensor, length: int) -> Tensor:
    """The places of items, int64 [length]: most are near one that is drawn, near as far as those `among` go."""
    first = vectors[among[draw.integers(len(among))]]
    near = among[(vectors[among] @ first).topk(min(NEIGHBOURS, len(among))).indices].numpy()
    anything = draw.integers(0, len(vectors), length)
    return torch.from_numpy(np.where(draw.random(length) < FAITHFUL, draw.choice(near, length), anything))


def _lists(lines: _All, users: Tensor, codes: str, threads: int) -> dict[str, bytes]:
    items, k = len(lines.vectors) - 1, min(RECALL_AT, len(lines.vectors) - 1)
    lists = Lists.learned(lines.vectors[1:], round(LISTS_PER_ROOT * items**0.5))
    exact = best_scores(Exact(), lines, users, k)
    indexes = {its: Ivf.over(lines.vectors, lists, its, 1, threads) for its in (codes, *(set(CODES) - {codes}))}
    found = {}
    for probes in _probes(len(lists)):
        found[probes] = recall(indexes[codes].probing(probes), lines, users, exact)
        if found[probes] >= WANTED:
            break
    else:
        return _exact(lines.vectors[1:], f"lists found {max(found.values()):.4f} of the best {k} at most")
    arrays = pack({name: array.numpy() for name, array in {**lists.arrays(), "users": users}.items()})
    facts = {
        "kind": "ivf",
        "items": items,
        "lists": len(lists),
        "probes": probes,
        "codes": codes,
        "recall_at": k,
        "recall": {its: round(recall(index.probing(probes), lines, users, exact), 5) for its, index in sorted(indexes.items())},
        "recall_by_probes": {str(its): round(share, 5) for its, share in found.items()},
        "sha256": hashlib.sha256(arrays).hexdigest(),
    }
    return {FACTS: _json(facts), ARRAYS: arrays}


def _probes(lists: int) -> Iterator[int]:
    yield from dict.fromkeys(max(1, lists // share) for share in SHARES)


def _exact(vectors: Tensor, why: str) -> dict[str, bytes]:
    return {FACTS: _json({"kind": "exact", "items": len(vectors), "why": why})}


def _json(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, indent=1, sort_keys=True).encode()
