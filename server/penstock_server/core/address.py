"""Where core listens.

A Unix socket in the home, or in a private folder when that path is too long.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

LONGEST_PATH = 100


def socket_path(home: Path) -> Path:
    """The path of core's socket; its folder exists and belongs to us alone."""
    path = home.absolute() / "core.sock"
    if len(os.fsencode(path)) <= LONGEST_PATH:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path
    mark = hashlib.sha256(os.fsencode(home.absolute())).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"penstock-{os.getuid()}-{mark}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.stat()
    if facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise PermissionError(f"{folder} is not ours alone; remove it")
    return folder / "core.sock"
