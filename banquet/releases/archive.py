"""A release as TorchServe archives: one self-contained `<model>-<version>.mar` per model.

MAR-INF/MANIFEST.json   what TorchServe reads; the release and the sha256 of every other entry
<model>.py              the handler, imported by bare name
handlers/, banquet/     the code it needs
release/                the part of the release it runs, and how its items are looked up
model-config.yaml       how TorchServe runs it
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from banquet.core.errors import BadRelease
from banquet.releases import mar
from banquet.releases.manifest import verify as verify_release
from banquet.wire.manifest_file import MANIFEST

# Model -> the graphs its handler runs.
MODELS = {
    "retrieval": ("item_encoder", "history_encoder"),
    "ranking": ("item_encoder", "history_encoder", "ranker_items", "ranker"),
    "cascade": ("item_encoder", "history_encoder", "ranker_items", "ranker"),
}
# Their handlers look for items.
RETRIEVING = ("retrieval", "cascade")
# Queue and number of workers are the server's to set; whatever stands here would override it. Time-outs must stand here: of an
# archive whose configuration names none, TorchServe waits 120 s, whatever the server's default says.
CONFIG = b"""\
# The gateway joins queries into one job; with 1, TorchServe never waits for more of them, whatever its batch delay.
batchSize: 1
# After so long TorchServe gives up restarting a worker and lets jobs wait without an answer.
maxRetryTimeoutInSec: 86400
# A worker that says nothing for so long is killed and replaced.
responseTimeout: 5
# Engines of a GPU are compiled while a worker loads; TorchServe heeds no default for this either.
startupTimeout: 600
"""


@dataclass(frozen=True, slots=True)
class Built:
    """An archive, and whether it was written now or lay there already."""

    model: str
    path: Path
    written: bool


def build(release: Path, model_store: Path, codes: str = "int8") -> list[Built]:
    """Archive a release for every model; `codes` says how lines are stored in an index of lists.

    Raises `BadRelease` when the release is not as it was sealed.
    """
    manifest = verify_release(release)
    model_store.mkdir(parents=True, exist_ok=True)
    paths = {model: model_store / f"{model}-{manifest.version}.mar" for model in MODELS}
    index = {f"release/{name}": content for name, content in _index(release, paths["retrieval"], codes).items()}
    built = []
    for model, graphs in MODELS.items():
        files = {f"release/{name}": release / name for name in (MANIFEST, *manifest.files_for(graphs))}
        looked_up = index if model in RETRIEVING else {}
        entries = {**files, **looked_up, **_code(model), mar.CONFIG_FILE: CONFIG}
        path = paths[model]
        built.append(Built(model, path, mar.write(path, model, manifest.version, manifest.created_at, entries)))
    return built


def _index(release: Path, built_before: Path, codes: str) -> dict[str, bytes]:
    """How items are looked up, as decided when the archive was built before, or by trying: which takes a while for many items."""
    from banquet.releases.index_plan import planned  # noqa: PLC0415 - seconds of torch, which nobody else here needs
    from handlers.index.plan import ARRAYS, FACTS  # noqa: PLC0415 - as above

    if built_before.exists():
        try:
            kept = {name: mar.read(built_before, f"release/{name}") for name in (FACTS, ARRAYS)}
            if json.loads(kept[FACTS])["codes"] == codes:
                return kept
        except (BadRelease, ValueError, KeyError):
            # Of another Banquet, damaged, or without lists: decided anew.
            pass
    return planned(release, codes)


def _code(model: str) -> dict[str, Path | bytes]:
    """The handler under its bare name, the handlers' package and the wire.

    An empty `banquet/__init__.py` makes the archive's `banquet` whole, so that no installed Banquet can lend it a part.
    """
    handlers, wire = _package("handlers"), _package("banquet.wire")
    found: dict[str, Path | bytes] = {"banquet/__init__.py": b"", f"{model}.py": handlers / f"{model}.py"}
    for prefix, folder in (("handlers", handlers), ("banquet/wire", wire)):
        found |= {f"{prefix}/{path.relative_to(folder).as_posix()}": path for path in folder.rglob("*.py")}
    return found


def _package(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None, f"{name} is a part of Banquet"
    assert spec.submodule_search_locations, f"{name} is a package"
    return Path(next(iter(spec.submodule_search_locations)))
