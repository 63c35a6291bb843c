"""What a plan does to the files of namespaces, written in the transaction of its flows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from penstock_server.store import namespace_files
from penstock_server.store.flow_batches import Outdated
from penstock_server.sync.desired import Contents, FileContent, file_digest
from penstock_server.sync.plan import SAVED, Action, Live, SyncPlan


def write_files(
    tx: Any, plan: SyncPlan, contents: Contents, *, owner: str | None, run_id: str, now: datetime
) -> None:
    """Point paths at the contents that the commit has for them; what is pruned goes.

    Raises `Outdated` when one of them has changed since the plan was made.
    """
    touched = [item for item in plan.of(*SAVED, Action.PRUNED) if item.is_file]
    if not touched:
        return
    there = {row.key: row for row in namespace_files.at(tx.connection, [i.key for i in touched])}
    for item in touched:
        if not _as_planned(item.live, there.get(item.key)):
            raise Outdated(f"file {item.id} of {item.namespace} has changed meanwhile")
    texts = {file.desired.key: file for file in contents.files}
    saved = [texts[item.key] for item in plan.of(*SAVED) if item.is_file]
    gone = [item.key for item in plan.of(Action.PRUNED) if item.is_file]
    if saved:
        rows = [_row(file, owner=owner, run_id=run_id, now=now) for file in saved]
        namespace_files.put(tx.connection, rows)
    if gone:
        namespace_files.remove(tx.connection, gone)


def _as_planned(live: Live | None, row: namespace_files.NamespaceFile | None) -> bool:
    """Whether a file is as it was; one that a person put there has no row."""
    if row is None:
        return live is None or live.managed_by is None
    digest = file_digest(row.sha256, executable=row.executable)
    return live is not None and (live.digest, live.managed_by) == (digest, row.managed_by)


def _row(
    file: FileContent, *, owner: str | None, run_id: str, now: datetime
) -> namespace_files.NamespaceFile:
    one = file.desired
    return namespace_files.NamespaceFile(
        namespace=one.namespace,
        path=one.id,
        sha256=file.sha256,
        size=file.size,
        modified=now,
        executable=file.executable,
        managed_by=owner,
        commit_sha=file.commit,
        git_path=one.path,
        git_blob=one.blob.rstrip("*"),
        sync_run_id=run_id,
    )
