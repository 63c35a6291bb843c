"""`checkout: true`: the tree of the execution's commit in the working directory, without a network.

The commit is the one that a push trigger names, else the one that the flow's revision came from;
the files come out of the bare store that the sync of its source keeps. Only a commit that the store
has lost is fetched again, by the service.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from penstock_runner.tasks.api import TaskFailed

Bring = Callable[[str, str], bool]
"""Have a commit of a source fetched; whether it is in the store by now."""
_PAUSES = (0.05, 0.1, 0.2, 0.5)


def nowhere(_source: str, _commit: str) -> bool:
    """Nobody fetches anything."""
    raise TaskFailed("there is no service that fetches it")


def check_out(
    git: Mapping[str, str], home: Path, target: Path, bring: Bring = nowhere
) -> list[Path]:
    """Write the files below `target` and give all paths that were made; raises `TaskFailed`."""
    from penstock_runner.git.checkout import TargetNotEmpty
    from penstock_runner.git.store import BareStore, FolderMissing
    from penstock_runner.git.trouble import GitTrouble
    from penstock_runner.git.upkeep import store_path

    source, commit = git.get("source"), git.get("commit")
    if not source or not commit:
        raise TaskFailed(
            "checkout: this flow does not come from a Git source; push it to one, or clone with a "
            "git.Clone task"
        )
    _have(home, source, commit, bring)
    try:
        with BareStore(store_path(home / "git", source)) as bare:
            bare.write_tree(commit, target)
    except (GitTrouble, FolderMissing, TargetNotEmpty) as error:
        raise TaskFailed(f"checkout: {error}") from error
    return sorted(target.rglob("*"))


def _have(home: Path, source: str, commit: str, bring: Bring) -> None:
    """Wait until the commit is in the store; a store that was made anew may have lost it."""
    from penstock_runner.git.exceptions import DAMAGE
    from penstock_runner.git.store import BareStore
    from penstock_runner.git.upkeep import store_path

    store = store_path(home / "git", source)
    if store.is_dir():
        with contextlib.suppress(*DAMAGE), BareStore(store) as bare:
            if bare.has(commit):
                return
    waiting = threading.Event()
    try:
        for pause in itertools.chain(_PAUSES, itertools.repeat(1.0)):
            if bring(source, commit):
                return
            waiting.wait(pause)
    except TaskFailed as failed:
        raise TaskFailed(
            f"checkout: the store of the Git source '{source}' does not have commit {commit[:7]}: "
            f"{failed}"
        ) from failed
