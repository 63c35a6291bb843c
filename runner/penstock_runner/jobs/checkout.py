"""`checkout: true`: the tree of the execution's commit in the working directory, without a network.

The commit is the one that a push trigger names, else the one that the flow's revision came from;
the files come out of the bare store that the sync of its source keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from penstock_runner.tasks.api import TaskFailed


def check_out(git: Mapping[str, str], home: Path, target: Path) -> list[Path]:
    """Write the files below `target` and give all paths that were made; raises `TaskFailed`."""
    from penstock_runner.git.checkout import TargetNotEmpty
    from penstock_runner.git.store import BareStore, FolderMissing
    from penstock_runner.git.trouble import GitTrouble

    source, commit = git.get("source"), git.get("commit")
    if not source or not commit:
        raise TaskFailed(
            "checkout: this flow does not come from a Git source; push it to one, or clone with a "
            "git.Clone task"
        )
    store = home / "git" / source
    if not store.is_dir():
        raise TaskFailed(f"checkout: the Git source '{source}' has no store here")
    try:
        with BareStore(store) as bare:
            bare.write_tree(commit, target)
    except (GitTrouble, FolderMissing, TargetNotEmpty) as error:
        raise TaskFailed(f"checkout: {error}") from error
    return sorted(target.rglob("*"))
