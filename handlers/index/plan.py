"""What a release's archive says of its index: how it is made, and how good it was when the archive was built.

`index.json` is for people and programs; what an index of lists needs lies beside it as `index.safetensors`: its centres, and
vectors of users by which it is tried.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from banquet.wire.files import sha256_of
from banquet.wire.manifest_file import BadManifest
from banquet.wire.tensors import BadTensors, unpack
from handlers.index.ivf import CODES
from handlers.index.lists import Lists

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

FACTS = "index.json"
ARRAYS = "index.safetensors"
# The share of the exact best `RECALL_AT` that an index must find.
LEAST_RECALL = 0.99
RECALL_AT = 500


@dataclass(frozen=True, slots=True)
class Plan:
    """An index of lists: where their centres are, how many of them are looked into, how lines are stored.

    `users` float32 [Q, d] are user vectors that the recall is measured with.
    """

    lists: Lists
    probes: int
    codes: str
    users: Tensor


def read_plan(release: Path) -> Plan | None:
    """The plan beside a release's files; None for an exact index. Raises `BadManifest` naming a file that changed."""
    path = release / FACTS
    if not path.is_file():
        return None
    try:
        facts: dict[str, Any] = json.loads(path.read_bytes())
        if facts["kind"] == "exact":
            return None
        if sha256_of(release / ARRAYS) != facts["sha256"]:
            raise BadManifest(f"{release / ARRAYS}: changed since the archive was built; build it again")
        arrays = {name: torch.from_numpy(array.copy()) for name, array in unpack((release / ARRAYS).read_bytes())[0].items()}
        if facts["kind"] != "ivf" or facts["codes"] not in CODES:
            raise BadManifest(f"{path}: knows {facts['kind']!r} of {facts['codes']!r}; this Banquet does not; build it again")
        return Plan(Lists.of(arrays), int(facts["probes"]), facts["codes"], arrays["users"])
    except (OSError, ValueError, KeyError, TypeError, BadTensors) as error:
        raise error if isinstance(error, BadManifest) else BadManifest(f"{path}: {error!r}; build the archive again") from error
