"""A release's files beside the handler, each checked against the manifest before anything reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from banquet.wire.manifest_file import GOLDEN, BadManifest, Manifest, check_file, read_manifest, user_vector_size
from banquet.wire.tensors import unpack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]


class ReleaseFiles:
    """The part of a release that a handler needs. Raises `BadManifest` naming the file when one is missing or changed."""

    def __init__(self, folder: Path, graphs: Sequence[str]) -> None:
        self._folder = folder
        self.manifest: Manifest = read_manifest(folder)
        unknown = [graph for graph in graphs if graph not in self.manifest.models]
        if unknown:
            raise BadManifest(f"{folder}: the release has no graph {', '.join(unknown)}; train again")
        for name, digest in self.manifest.files_for(graphs).items():
            check_file(folder, name, digest)
        self._golden, _ = unpack((folder / GOLDEN).read_bytes())

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def user_vector_size(self) -> int:
        """Of all the vectors that the history encoder gives of one user, one behind the other."""
        return user_vector_size(self._golden)

    def onnx(self, graph: str) -> Path:
        return self._folder / "graphs" / f"{graph}.onnx"

    def program(self, graph: str) -> Path:
        return self._folder / "programs" / f"{graph}.pt2"

    def inputs(self, graph: str) -> list[str]:
        """Names, in the graph's order."""
        return list(self.manifest.models[graph]["inputs"])

    def outputs(self, graph: str) -> list[str]:
        """Names, in the graph's order."""
        return list(self.manifest.models[graph]["outputs"])

    def golden(self, graph: str) -> tuple[Arrays, Arrays]:
        """A batch of inputs and what the release's own models made of it."""
        return self._under(f"{graph}/in/"), self._under(f"{graph}/out/")

    def _under(self, prefix: str) -> Arrays:
        return {name.removeprefix(prefix): array for name, array in self._golden.items() if name.startswith(prefix)}
