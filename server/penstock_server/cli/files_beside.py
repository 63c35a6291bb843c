"""Files of namespaces that lie beside the flows of a folder: those in its `_files`."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from penstock_server.cli.exits import USAGE, Stop

FOLDER = "_files"
# As much as a service takes in one deploy.
_LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """The contents by path, which of them are executable, and the folder that was deployed."""

    folder: str = ""
    contents: Mapping[str, bytes] = field(default_factory=dict)
    executable: tuple[str, ...] = ()

    def body(self) -> dict[str, object]:
        """What the request says of them."""
        if not self.contents:
            return {}
        binaries = {path: base64.b64encode(raw).decode() for path, raw in self.contents.items()}
        return {
            "folder": self.folder,
            "binaries": binaries,
            "executable": list(self.executable),
        }


def files_beside(path: Path, root: Path | None) -> Beside:
    """The files below `_files` of the folder that is deployed, by path from the checkout's root."""
    base = path.resolve()
    if not base.is_dir():
        return Beside()
    start = root if root is not None and base.is_relative_to(root) else base
    contents: dict[str, bytes] = {}
    executable: list[str] = []
    size = 0
    for file in sorted((base / FOLDER).rglob("*")):
        if not file.is_file() or file.is_symlink():
            continue
        size += file.stat().st_size
        if size > _LARGEST:
            raise Stop(f"{base / FOLDER} holds over {_LARGEST} bytes: leave some out", USAGE)
        shown = file.relative_to(start).as_posix()
        contents[shown] = file.read_bytes()
        if os.access(file, os.X_OK):
            executable.append(shown)
    folder = base.relative_to(start).as_posix()
    return Beside(
        folder="" if folder == "." else folder, contents=contents, executable=tuple(executable)
    )
