"""Folders and ports that are ours alone."""

from __future__ import annotations

import os
import random
import socket
import tempfile
from hashlib import sha256
from pathlib import Path

from banquet.core.errors import BadSettings

LOOPBACK = "127.0.0.1"
# Below the range from which Linux takes the local ports of outgoing connections.
_PORTS = range(20_000, 32_000)
# What a unix socket's path may have (107 bytes), less the longest name that TorchServe puts into the folder.
_MAX_SOCKET_FOLDER_BYTES = 107 - len("/.ts.sock.65535")


def private_folder(folder: Path) -> Path:
    """A folder that nobody else can look into. Raises `BadSettings` when it is someone else's."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise BadSettings(f"{folder}: belongs to someone else; remove it or choose another workspace")
    folder.chmod(0o700)
    return folder


def socket_folder(folder: Path) -> Path:
    """A private folder for sockets: this one, or when its path is too long for a socket's, one in the temporary folder."""
    if len(os.fsencode(folder)) <= _MAX_SOCKET_FOLDER_BYTES:
        return private_folder(folder)
    name = f"banquet-{os.getuid()}-{sha256(os.fsencode(folder)).hexdigest()[:12]}"
    return private_folder(Path(tempfile.gettempdir()) / name)


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise BadSettings(f"no free port on {LOOPBACK} between {_PORTS.start} and {_PORTS.stop - 1}")
