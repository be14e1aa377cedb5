"""The ways to reach a TorchServe, and the keys it wants to see."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from banquet.inference.failures import NotDone

if TYPE_CHECKING:
    from pathlib import Path

Scope = Literal["inference", "management"]
# In place of a version.
ALL = "all"

# What an answer may have; our own TorchServe gives and takes as much.
MAX_MESSAGE_BYTES = 32 * 2**20
# What any TorchServe takes that nobody told otherwise. Over gRPC it ends a larger job with a reset, as if it were gone.
MAX_JOB_BYTES = 6_553_500


@dataclass(frozen=True, slots=True)
class TorchServeAddress:
    """Where a TorchServe listens: `unix:/path` speaks HTTP over a local socket, `host:port` speaks gRPC.

    Without `management` a model's workers cannot be asked about; without `key_file` no keys are sent.
    """

    inference: str
    management: str = ""
    key_file: Path | None = None

    @property
    def is_local_socket(self) -> bool:
        return self.inference.startswith("unix:")


class Locked(NotDone):
    """TorchServe did not accept the key, or wants one."""


class Transport(Protocol):
    """Bytes in, bytes out. Raises `StageFailed`, and `Locked` where another key could help."""

    async def predict(self, model: str, version: str, payload: bytes, key: str, timeout_s: float) -> bytes:
        """Of the default version when none is named; so too below."""
        ...

    async def describe(self, model: str, version: str, key: str, timeout_s: float) -> str:
        """JSON of one version, or of `ALL`."""
        ...

    async def register(self, model: str, archive: str, workers: int, key: str, timeout_s: float) -> None:
        """Load an archive of the model store; returns when its workers are up."""
        ...

    async def unregister(self, model: str, version: str, key: str, timeout_s: float) -> None:
        """Its workers are killed: whatever they work on is lost. The default version stays."""
        ...

    async def make_default(self, model: str, version: str, key: str, timeout_s: float) -> None: ...

    async def close(self) -> None: ...


@dataclass
class Keys:
    """The keys in the file that TorchServe writes at every start; none until they were read."""

    file: Path | None
    _keys: dict[str, str] = field(default_factory=dict, init=False)

    def __getitem__(self, scope: Scope) -> str:
        return self._keys.get(scope, "")

    def reread(self) -> None:
        """Take the keys in force; the old ones stay while the file is missing or being written."""
        if self.file is None:
            return
        with suppress(OSError, ValueError, KeyError, TypeError):
            body = json.loads(self.file.read_bytes())
            self._keys = {scope: str(body[scope]["key"]) for scope in ("inference", "management")}
