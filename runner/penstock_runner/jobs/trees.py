"""Removes folders of jobs, whatever a job has made of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

PRIVATE = 0o700


def sweep(root: Path) -> int:
    """Remove the workspaces that an earlier runner left behind; how many there were."""
    root.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    left = list(root.iterdir())
    for folder in left:
        remove_tree(folder)
    return len(left)


def remove_tree(folder: Path) -> None:
    """Remove a folder also when a job took the rights to it away; links are never followed."""
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink(missing_ok=True)
    else:
        shutil.rmtree(folder, onerror=remove_by_force)


def remove_by_force(function: Callable[..., Any], path: str, _: object) -> None:
    """What a removal does where it fails; what another process has removed meanwhile is gone."""
    try:
        Path(path).parent.chmod(PRIVATE)
        if Path(path).is_dir() and not Path(path).is_symlink():
            Path(path).chmod(PRIVATE)
            shutil.rmtree(path, ignore_errors=True)
        elif function in (os.unlink, os.rmdir):
            function(path)
    except OSError:
        return
