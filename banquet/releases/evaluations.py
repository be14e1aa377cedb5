"""Results of evaluations, beside the releases: `<root>/evaluations/<version>.json`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from banquet.wire.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write(root: Path, version: str, body: Mapping[str, Any]) -> None:
    (root / "evaluations").mkdir(parents=True, exist_ok=True)
    write_atomically(root / "evaluations" / f"{version}.json", json.dumps(body).encode())
