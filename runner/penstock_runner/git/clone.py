"""A copy of one commit's files in a folder: what `git.Clone` does, without a work tree of Git's."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from penstock_runner.git.checkout import TargetNotEmpty
from penstock_runner.git.remote import Credentials, Rules, remote_of
from penstock_runner.git.store import BareStore, Wanted
from penstock_runner.git.trouble import GIT_CORRUPT, GitTrouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What to clone, and how to get in. Time-outs are in seconds."""

    url: str
    branch: str | None = None
    tag: str | None = None
    commit: str | None = None
    credentials: Credentials = field(default_factory=Credentials)
    ca_file: str | None = None
    connect_seconds: float = 10.0
    read_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloned:
    """What was written."""

    commit: str
    ref: str
    files: int


def clone(source: Source, target: Path, scratch: Path) -> Cloned:
    """Write the files of the wanted commit below `target`; raises `GitTrouble`.

    `scratch` is a folder for the objects, which are removed afterwards.
    """
    remote = remote_of(
        source.url,
        source.credentials,
        rules=Rules(allow_http=True),
        ca_file=source.ca_file,
        connect_seconds=source.connect_seconds,
        read_seconds=source.read_seconds,
    )
    store = Path(tempfile.mkdtemp(prefix="clone-", dir=scratch))
    try:
        with BareStore(store / "store") as bare:
            fetched = bare.fetch(remote, _wanted(source))
            count = bare.write_tree(fetched.commit, target)
    except TargetNotEmpty as full:
        raise GitTrouble(GIT_CORRUPT, f"{full}: clone into an empty directory") from full
    finally:
        shutil.rmtree(store, ignore_errors=True)
    return Cloned(commit=fetched.commit, ref=fetched.ref, files=count)


def _wanted(source: Source) -> Wanted:
    if source.commit:
        return Wanted(kind="commit", name=source.commit)
    if source.tag:
        return Wanted(kind="tag", name=source.tag)
    return Wanted(kind="branch", name=source.branch or "HEAD")
