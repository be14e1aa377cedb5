"""Plans on disk: `<key>/<target>/<package><version>/` holds a `plan` and the `manifest.json` that says what it is.

A plan is bound to the very TensorRT and kind of GPU it was built for, so none of this belongs into a release. What does not fit
its manifest is put aside and built anew.
"""

from __future__ import annotations

import fcntl
import json
import logging
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from banquet.wire.files import sha256_of, write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from handlers.engines.plans import Plan, Recipe

log = logging.getLogger(__name__)

PLAN = "plan"
MANIFEST = "manifest.json"
LOCK = ".lock"
QUARANTINE = "quarantine"
# Plans put aside stay for someone to look at, the last few of them.
MOST_ASIDE = 8


@dataclass(frozen=True, slots=True)
class Cached:
    """A plan in the cache, its manifest, and whether it was built just now."""

    folder: Path
    manifest: Mapping[str, Any]
    built: bool

    def read(self) -> bytes:
        return (self.folder / PLAN).read_bytes()


class PlanCache:
    """Several processes may share it: a plan is built by one of them, under a lock, while the others wait."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def place(self, recipe: Recipe) -> Path:
        return self._root / recipe.key / recipe.target / f"{recipe.package}{recipe.version}"

    def get(self, recipe: Recipe, build: Callable[[], Plan]) -> Cached:
        """The plan that is there, or else a new one. Raises what `build` raises; then nothing is left behind."""
        folder = self.place(recipe)
        with self._locked(folder):
            if (manifest := self._sound(folder, recipe)) is not None:
                return Cached(folder, manifest, built=False)
            began_s = time.perf_counter()
            plan = build()
            write_atomically(folder / PLAN, plan.content)
            manifest = {
                **recipe.described(),
                "inputs": list(plan.inputs),
                "outputs": list(plan.outputs),
                "bytes": len(plan.content),
                "sha256": sha256_of(folder / PLAN),
                "build_s": round(time.perf_counter() - began_s, 3),
                "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            _write(folder / MANIFEST, manifest)
        return Cached(folder, manifest, built=True)

    def note(self, cached: Cached, **facts: object) -> None:
        """Put what was learned of a plan when it ran into its manifest: GPU, driver, parity error."""
        with self._locked(cached.folder):
            is_new = any(cached.manifest.get(name) != fact for name, fact in facts.items())
            if is_new and (cached.folder / MANIFEST).is_file():
                _write(cached.folder / MANIFEST, {**cached.manifest, **facts})

    def put_aside(self, folder: Path, why: str) -> None:
        """Nobody loads it again."""
        with self._locked(folder):
            self._put_aside(folder, why)

    def _sound(self, folder: Path, recipe: Recipe) -> dict[str, Any] | None:
        """The manifest, when the plan is the one it tells of and both are what the recipe wants."""
        if not (folder / PLAN).exists() and not (folder / MANIFEST).exists():
            return None
        try:
            manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
            told = {name: manifest[name] for name in recipe.described()}
            if told == recipe.described() and manifest["sha256"] == sha256_of(folder / PLAN):
                return manifest
            why = "the plan is not the one that its manifest tells of"
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            why = f"its manifest cannot be read: {error!r}"
        self._put_aside(folder, why)
        return None

    def _put_aside(self, folder: Path, why: str) -> None:
        aside = self._root / QUARANTINE
        aside.mkdir(parents=True, exist_ok=True)
        place = aside / f"{time.time_ns()}-{folder.parents[1].name[:12]}-{folder.parent.name}-{folder.name}"
        place.mkdir()
        # The lock stays where it is: others may be waiting for it.
        for path in [path for path in folder.iterdir() if path.name != LOCK]:
            path.rename(place / path.name)
        (place / "why.txt").write_text(f"{why}\n")
        log.warning("the plan in %s was put aside in %s: %s", folder, place, why)
        for old in sorted(aside.iterdir())[:-MOST_ASIDE]:
            shutil.rmtree(old, ignore_errors=True)

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[None]:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("w") as file:
            # Ends with the process that holds it, however that ends.
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _write(path: Path, manifest: Mapping[str, Any]) -> None:
    write_atomically(path, json.dumps(manifest, indent=1, sort_keys=True).encode())
