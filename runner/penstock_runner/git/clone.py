"""A copy of one commit's files in a folder: what `git.Clone` does, without a work tree of Git's."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from penstock_runner.git.checkout import TargetNotEmpty
from penstock_runner.git.remote import Remote
from penstock_runner.git.store import BareStore, Wanted
from penstock_runner.git.trouble import GIT_CORRUPT, GitTrouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What to clone: a commit, else a tag, else a branch, else the remote's own branch."""

    branch: str | None = None
    tag: str | None = None
    commit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloned:
    """What was written."""

    commit: str
    ref: str
    files: int


def clone(remote: Remote, chosen: Chosen, target: Path, scratch: Path) -> Cloned:
    """Write the files of the wanted commit below `target`; raises `GitTrouble`.

    `scratch` is a folder for the objects, which are removed afterwards.
    """
    store = Path(tempfile.mkdtemp(prefix="clone-", dir=scratch))
    try:
        with BareStore(store / "store") as bare:
            fetched = bare.fetch(remote, _wanted(chosen))
            count = bare.write_tree(fetched.commit, target)
    except TargetNotEmpty as full:
        raise GitTrouble(GIT_CORRUPT, f"{full}: clone into an empty directory") from full
    finally:
        shutil.rmtree(store, ignore_errors=True)
    return Cloned(commit=fetched.commit, ref=fetched.ref, files=count)


def _wanted(chosen: Chosen) -> Wanted:
    if chosen.commit:
        return Wanted(kind="commit", name=chosen.commit)
    if chosen.tag:
        return Wanted(kind="tag", name=chosen.tag)
    return Wanted(kind="branch", name=chosen.branch or "HEAD")
