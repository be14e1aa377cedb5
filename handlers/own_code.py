"""An archive runs the code it carries."""

from __future__ import annotations

import sys
from pathlib import Path

from banquet.wire.files import sha256_of

OWN = ("handlers.", "banquet.wire.")


class ForeignCode(RuntimeError):
    """Modules of another Banquet come before the archive's on the path, and differ."""


def check_own_code(archive: Path) -> None:
    """Raises `ForeignCode` when a loaded module of ours is neither the archive's nor equal to it.

    TorchServe puts the PYTHONPATH it was started with before the archive. A folder that carries no code has nothing to check.
    """
    if not (archive / "handlers").is_dir():
        return
    for name in [name for name in sys.modules if name.startswith(OWN)]:
        used = Path(sys.modules[name].__file__ or "")
        own = (
            archive / name.replace(".", "/") / "__init__.py"
            if used.name == "__init__.py"
            else archive / f"{name.replace('.', '/')}.py"
        )
        if not own.is_file() or sha256_of(used) != sha256_of(own):
            raise ForeignCode(
                f"{name} was loaded from {used}, which differs from the archive's; start TorchServe without PYTHONPATH"
            )
