"""The local copy of a remote: asked for, fetched, made anew when it is damaged or crowded.

A new copy is made beside the old one and takes its place by a rename, so whoever reads the old one
goes on, and a fetch that fails loses nothing. It begins with the commit that is applied, so what
changed since can still be told.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penstock_runner.git.apart import Identity, apart, own_identity
from penstock_runner.git.exceptions import DAMAGE
from penstock_runner.git.remote import Remote
from penstock_runner.git.store import BareStore, Fetched, Seen, Wanted, look
from penstock_runner.git.transport import with_files
from penstock_runner.git.trouble import GIT_CORRUPT, GitTrouble, message_for
from penstock_runner.git.upkeep import UNMADE, discard

HOSTS = "known_hosts"
SIZE = "fresh_size"
_GROWN = 4
_SMALL = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Where the copy of a remote lies, and as whom the network is used."""

    remote: Remote
    path: Path
    identity: Identity | None = None

    def look(self, wanted: Wanted) -> Seen:
        """Ask the remote where a ref points."""
        self._prepare()
        remote = with_files(self.remote)
        answer = apart(
            lambda here: _seen(look(_at(remote, here), wanted)), self.path, self.identity
        )
        return Seen(**answer)

    def fetch(
        self, wanted: Wanted, *, applied: str | None, blob_limit: int, beside: Sequence[str] = ()
    ) -> Fetched:
        """Bring the wanted commit here; a copy that has grown too much is replaced."""
        self._prepare()
        if _crowded(self.path):
            return self.renew(wanted, applied=applied, blob_limit=blob_limit, beside=beside)
        return self._fetched(self.path, wanted, blob_limit)

    def renew(
        self, wanted: Wanted, *, applied: str | None, blob_limit: int, beside: Sequence[str] = ()
    ) -> Fetched:
        """A fresh copy in the place of this one; `beside` are commits that others have applied."""
        fresh, old = _beside(self.path, "new"), _beside(self.path, "old")
        for leftover in (fresh, old):
            discard(leftover)
        self._make(fresh)
        with contextlib.suppress(OSError):
            shutil.copy2(self.path / HOSTS, fresh / HOSTS)
        for known in dict.fromkeys((*beside, *([applied] if applied is not None else []))):
            # Not every host gives out a commit by its name, and it may be gone.
            with contextlib.suppress(GitTrouble):
                self._fetched(fresh, Wanted(kind="commit", name=known), blob_limit)
        fetched = self._fetched(fresh, wanted, blob_limit)
        self.path.rename(old)
        fresh.rename(self.path)
        discard(old)
        return fetched

    def _fetched(self, path: Path, wanted: Wanted, blob_limit: int) -> Fetched:
        remote = with_files(self.remote)

        def work(here: Path) -> dict[str, Any]:
            try:
                with BareStore(here) as store:
                    fetched = store.fetch(_at(remote, here), wanted, blob_limit=blob_limit)
            except DAMAGE as damage:
                message = message_for(GIT_CORRUPT, self.remote.url, type(damage).__name__)
                raise GitTrouble(GIT_CORRUPT, message) from damage
            return {"commit": fetched.commit, "ref": fetched.ref, "new": fetched.new}

        fetched = Fetched(**apart(work, path, self.identity))
        if not (path / SIZE).exists():
            (path / SIZE).write_text(str(_size(path)))
        return fetched

    def _prepare(self) -> None:
        if not self.path.is_dir() or self.path.is_symlink():
            self._make(self.path)
        elif self.identity is not None and self.path.stat().st_uid != self.identity.user:
            _give(self.path, self.identity)

    def _make(self, path: Path) -> None:
        BareStore(path).close()
        if self.identity is not None:
            _give(path, self.identity)


def copy_of(remote: Remote, path: Path) -> Copy:
    """The copy of a remote in a folder. A repository on this machine is read as ourselves."""
    identity = None if remote.scheme == "file" else own_identity(named=remote.scheme == "ssh")
    return Copy(remote=remote, path=path, identity=identity)


def clear_leftovers(folder: Path) -> None:
    """Remove the copies that were being made, or were replaced, when a process died."""
    for path in folder.iterdir():
        if path.suffix in (".new", ".old", UNMADE):
            discard(path)


def _at(remote: Remote, here: Path) -> Remote:
    """The remote with the file of accepted host keys, which lies in the copy."""
    return replace(remote, hosts_file=here / HOSTS)


def _seen(seen: Seen) -> dict[str, Any]:
    return {"commit": seen.commit, "ref": seen.ref}


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f"{path.name}.{kind}")


def _give(path: Path, identity: Identity) -> None:
    """Make the folder and all in it the user's; links are not followed."""
    for folder, folders, files in os.walk(path):
        for name in (".", *folders, *files):
            os.chown(Path(folder) / name, identity.user, identity.group, follow_symlinks=False)


def _crowded(path: Path) -> bool:
    with BareStore(path) as store:
        if store.crowded:
            return True
    try:
        fresh = int((path / SIZE).read_text())
    except (OSError, ValueError):
        return False
    return _size(path) > max(_GROWN * fresh, _SMALL)


def _size(path: Path) -> int:
    """Bytes of the packs, which are nearly all of a copy."""
    return sum(pack.stat().st_size for pack in path.glob("objects/pack/*.pack"))
