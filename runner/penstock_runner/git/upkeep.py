"""Making stores, removing them, and clearing away what killed processes have left in them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from dulwich.repo import Repo

from penstock_runner.git.apart import ENTERED
from penstock_runner.git.trouble import GIT_CORRUPT, GitTrouble

LOCK = "penstock.lock"
UNMADE = ".making"
_PACK_LOCKS = "objects/pack/*.lock"
_STALE_SECONDS = 600
_NAME = re.compile(r"[a-z0-9-]{1,63}")
# What a store has once it is made.
_WHOLE = ("HEAD", "config", "objects/pack", "refs/heads")


def pointer(stores: Path, name: str) -> Path:
    """The file that names the store of a source which has none of its own name."""
    return stores / f"{name}.at"


def store_path(stores: Path, name: str) -> Path:
    """The store of a source, by the name of the source."""
    said = pointer(stores, name)
    try:
        other = said.read_text().strip()
    except OSError:
        return stores / name
    return stores / other if _NAME.fullmatch(other) else stores / name


def tidy(path: Path, now: float) -> None:
    """Remove what a killed fetch left ten minutes ago or more (`now` in epoch seconds)."""
    leftovers = [
        *path.glob("objects/**/tmp_*"),
        *path.glob("objects/**/incoming-*"),
        *path.glob("**/*.lock"),
    ]
    for file in leftovers:
        if file.name != LOCK and file.lstat().st_mtime < now - _STALE_SECONDS:
            file.unlink(missing_ok=True)


def unlock(path: Path) -> None:
    """Remove the locks in a store; for who holds the one that counts."""
    for found in (*path.glob("*.lock"), *path.glob("refs/**/*.lock"), *path.glob(_PACK_LOCKS)):
        if found.name != LOCK:
            found.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Remove a store; used when it is damaged or crowded, before a fresh fetch."""
    if path.is_symlink():
        raise _unsafe(path)
    shutil.rmtree(path, ignore_errors=True)


def make(path: Path) -> None:
    """Make a store where there is none; one that was not made to its end is made anew."""
    for part in (path, path / "objects", path / "refs"):
        if part.is_symlink() and part != ENTERED:
            raise _unsafe(part)
    if not all((path / part).exists() for part in _WHOLE):
        fresh = path.with_name(f"{path.name}{UNMADE}")
        discard(fresh)
        fresh.mkdir(mode=0o700, parents=True)
        Repo.init_bare(str(fresh)).close()
        discard(path)
        fresh.rename(path)
    path.chmod(0o700)


def _unsafe(path: Path) -> GitTrouble:
    return GitTrouble(GIT_CORRUPT, f"{path} is a symlink; remove it, the store is made again")
