"""What a plan does to the files of namespaces, written in the transaction of its flows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from penstock_server.store import namespace_files
from penstock_server.sync.desired import Contents, FileContent
from penstock_server.sync.plan import SAVED, Action, SyncPlan


def write_files(
    tx: Any, plan: SyncPlan, contents: Contents, *, owner: str | None, run_id: str, now: datetime
) -> None:
    """Point paths at the contents that the commit has for them; what is pruned goes."""
    texts = {file.desired.key: file for file in contents.files}
    saved = [texts[item.key] for item in plan.of(*SAVED) if item.is_file]
    gone = [item.key for item in plan.of(Action.PRUNED) if item.is_file]
    if saved:
        rows = [_row(file, owner=owner, run_id=run_id, now=now) for file in saved]
        namespace_files.put(tx.connection, rows)
    if gone:
        namespace_files.remove(tx.connection, gone)


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
