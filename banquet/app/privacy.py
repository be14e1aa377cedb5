"""The key of pseudonyms: from the environment or a file that nobody else may read; made when there is none."""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING

from banquet.core.errors import BadSettings
from banquet.core.pseudonyms import Pseudonyms

if TYPE_CHECKING:
    from pathlib import Path

    from banquet.app.settings import Settings

VARIABLE = "BANQUET_PSEUDONYM_KEY"
KEY_BYTES = 32
SHORTEST_BYTES = 16


def open_pseudonyms(settings: Settings) -> Pseudonyms:
    """Raises `BadSettings` for a key that is too short or that others may read; the text never has the key."""
    if key := os.environ.get(VARIABLE, "").encode():
        return Pseudonyms(_long_enough(key, VARIABLE))
    file = settings.privacy.key_file or settings.workspace / "pseudonyms.key"
    try:
        if not file.exists():
            _make(file)
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise BadSettings(f"{file}: others may read it (mode {mode:o}); run `chmod 600 {file}`, or delete it for a new key")
        return Pseudonyms(_long_enough(file.read_bytes().strip(), str(file)))
    except OSError as error:
        raise BadSettings(f"{file}: {error.strerror}; set privacy.key_file to a file that can be read") from error


def pseudonyms_in_force(settings: Settings) -> Pseudonyms | None:
    """None while ids are written as they are."""
    return open_pseudonyms(settings) if settings.privacy.pseudonyms else None


def names_of(settings: Settings, user_id: str) -> set[str]:
    """Under which names a user may have been written down: the id, and the pseudonym if there is a key by now."""
    file = settings.privacy.key_file or settings.workspace / "pseudonyms.key"
    if not (settings.privacy.pseudonyms or VARIABLE in os.environ or file.exists()):
        return {user_id}
    return {user_id, open_pseudonyms(settings).of(user_id)}


def _make(file: Path) -> None:
    """Several processes may try: the first one's key it is."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(handle, "w") as made:
            made.write(secrets.token_hex(KEY_BYTES) + "\n")
            made.flush()
            os.fsync(made.fileno())
        os.link(draft, file)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def _long_enough(key: bytes, where: str) -> bytes:
    if len(key) < SHORTEST_BYTES:
        raise BadSettings(f"{where}: a key of {len(key)} bytes is too short; at least {SHORTEST_BYTES} are needed")
    return key
