"""Writing a tree to a folder without trusting it.

Names have been checked by the walk. Files are made new, never opened over something that is there,
below folders that we made ourselves, and symlinks last: only those whose target stays inside. So no
write ever goes through a link of the tree.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable
from pathlib import Path

from penstock_runner.flow.faults import Severity
from penstock_runner.git.tree import Entry, Link, Listing
from penstock_runner.git.trouble import GIT_CORRUPT, GIT_TOO_BIG, GitTrouble

_LONGEST_TARGET = 1024


class TargetNotEmpty(Exception):
    """The folder to write to has something in it."""


def write_files(listing: Listing, read: Callable[[str], bytes], target: Path) -> int:
    """Write all files of a listing below an empty (or missing) folder; gives their number."""
    bad = next((fault for fault in listing.faults if fault.severity is Severity.ERROR), None)
    if bad is not None:
        raise GitTrouble(GIT_CORRUPT, f"the tree cannot be written: {bad.message}")
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise TargetNotEmpty(f"{target} is not empty")
    made: set[str] = {""}
    for entry in listing.entries:
        _write(entry, read, target, made)
    taken = {entry.path for entry in listing.entries} | made
    for link in listing.links:
        _link(link, read, target, made, taken)
    return len(listing.entries)


def _write(entry: Entry, read: Callable[[str], bytes], target: Path, made: set[str]) -> None:
    try:
        data = read(entry.blob)
    except KeyError:
        raise GitTrouble(
            GIT_TOO_BIG,
            f"{entry.path} was left out of the fetch for its size; raise `limits.blobBytes`",
        ) from None
    _folder(posixpath.dirname(entry.path), target, made)
    mode = 0o755 if entry.executable else 0o644
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    handle = os.open(target / entry.path, flags, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)


def _folder(path: str, target: Path, made: set[str]) -> None:
    if path in made:
        return
    _folder(posixpath.dirname(path), target, made)
    (target / path).mkdir()
    made.add(path)


def _link(
    link: Link, read: Callable[[str], bytes], target: Path, made: set[str], taken: set[str]
) -> None:
    """Make a symlink when it points to a file or folder of the tree; others are left out."""
    try:
        text = read(link.blob).decode("utf-8")
    except (KeyError, UnicodeDecodeError):
        return
    if len(text) > _LONGEST_TARGET or text.startswith("/") or "\0" in text or not text:
        return
    inside = posixpath.normpath(posixpath.join(posixpath.dirname(link.path), text))
    if inside not in taken:
        return
    _folder(posixpath.dirname(link.path), target, made)
    (target / link.path).symlink_to(text)
