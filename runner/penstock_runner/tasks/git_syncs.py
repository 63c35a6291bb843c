"""Tasks that bring flows and files of namespaces to what a Git repository has.

Core plans and writes, by the same rules as for Git sources; these tasks say what to read, wait for
it, and store what was done as an item file.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from penstock_runner.flow.model import Level
from penstock_runner.tasks import places
from penstock_runner.tasks.api import Cancelled, Outputs, RunContext, TaskFailed, task
from penstock_runner.tasks.git_access import GitAccess
from penstock_runner.tasks.namespace_files import NamespaceStorage
from penstock_runner.tasks.stored import put_items

FLOW_FILES = ("**/*.yml", "**/*.yaml")
STATES = {"ADDED": "ADDED", "UPDATED": "UPDATED", "UNCHANGED": "UNCHANGED", "PRUNED": "DELETED"}
FOLDER_MARK = ".penstock-folder"
_PATIENCE = (0.05, 0.1, 0.2, 0.5)

Row = dict[str, Any]


@task("io.kestra.plugin.git.SyncFlows")
class SyncFlows(GitAccess):
    """Bring the flows of a namespace to those of a folder of a branch, all or nothing.

    The flows get the target namespace, with folders below it as child namespaces when
    `includeChildNamespaces` is on. A branch that does not exist is an error, and a flow whose file
    is broken is never deleted.
    """

    branch: str = "main"
    target_namespace: str
    git_directory: str = "_flows"
    include_child_namespaces: bool = False
    delete: bool = False
    dry_run: bool = False
    ignore_invalid_flows: bool = False
    fail_on_missing_directory: bool = True

    def run(self, ctx: RunContext) -> Outputs:
        """Sync, and tell what was done to each flow."""
        target, children = self.target_namespace, self.include_child_namespaces
        source = self.opened(ctx).described(self.branch, self.git_directory) | {
            "include": FLOW_FILES,
            "files": {"layout": "none"},
            "mapping": {"mode": "rewrite", "target": target, "children": children},
        }
        scope = {
            "namespace": target,
            "children": children,
            "missing": "DELETE" if self.delete else "KEEP",
            "dry_run": self.dry_run,
            "skip_invalid": self.ignore_invalid_flows,
            "may_be_missing": not (self.fail_on_missing_directory or self.delete),
        }
        done = synced(ctx, source, scope)
        uri, _ = put_items(ctx, map(_flow_row, _in_order(done["items"])), "diff.ion")
        return {"flows": uri}


@task("io.kestra.plugin.git.SyncFlow")
class SyncFlow(GitAccess):
    """Bring one flow to what a file of a branch says."""

    branch: str = "main"
    target_namespace: str
    flow_path: str
    dry_run: bool = False

    def run(self, ctx: RunContext) -> Outputs:
        """Sync the flow of one file."""
        source = self.opened(ctx).described(self.branch, "") | {
            "include": [self.flow_path.strip("/")],
            "files": {"layout": "none"},
            "namespace": self.target_namespace,
        }
        scope = {"namespace": self.target_namespace, "dry_run": self.dry_run}
        found = [one for one in synced(ctx, source, scope)["items"] if one["path"] is not None]
        if len(found) != 1:
            raise TaskFailed(f"{self.flow_path} of branch {self.branch} is no file with one flow")
        one = found[0]
        return {"flowId": one["id"], "namespace": one["namespace"], "revision": one["revision"]}


@task("io.kestra.plugin.git.SyncNamespaceFiles")
class SyncNamespaceFiles(GitAccess):
    """Bring the files of a namespace to those of a folder of a branch, all or nothing."""

    branch: str = "main"
    namespace: str | None = None
    git_directory: str = "_files"
    namespace_directory: str = "/"
    include_child_namespaces: bool = False
    delete: bool = False
    dry_run: bool = False

    def run(self, ctx: RunContext) -> Outputs:
        """Sync, and tell what was done to each file."""
        if self.include_child_namespaces:
            raise TaskFailed("includeChildNamespaces is not supported: sync each namespace alone")
        namespace = self.namespace or ctx.namespace
        below = self.namespace_directory
        source = self.opened(ctx).described(self.branch, self.git_directory) | {
            "files": [{"dir": "", "namespace": namespace, "prefix": below}],
        }
        scope = {
            "namespace": namespace,
            "flows": False,
            "files": True,
            "below": below,
            "plain": plain_files(ctx, namespace),
            "missing": "DELETE" if self.delete else "KEEP",
            "dry_run": self.dry_run,
        }
        done = synced(ctx, source, scope)
        if not self.dry_run:
            uncover(ctx, done["items"])
        uri, _ = put_items(ctx, map(_file_row, _in_order(done["items"])), "diff.ion")
        return {"files": uri}


def synced(
    ctx: RunContext, source: Mapping[str, Any], scope: Mapping[str, Any]
) -> Mapping[str, Any]:
    """What core did: the commit, what became of each flow and file, and what was skipped."""
    stop = threading.Event()
    ctx.on_cancel(stop.set)
    ticket = ctx.call(
        "git.task.start",
        source=source,
        scope={**scope, "running": [ctx.namespace, ctx.flow_id]},
        actor=f"{ctx.namespace}.{ctx.flow_id}",
    )
    waits = iter(_PATIENCE)
    pause = 0.0
    while (done := ctx.call("git.task.result", ticket=ticket)) is None:
        pause = next(waits, pause)
        if stop.wait(pause):
            raise Cancelled
    for line in done["skipped"]:
        ctx.log(Level.WARN, f"skipped: {line}")
    counts = dict.fromkeys(STATES.values(), 0)
    for item in done["items"]:
        if item["action"] in STATES:
            counts[STATES[item["action"]]] += 1
    told = ", ".join(f"{count} {state.lower()}" for state, count in counts.items())
    how = "would be at" if scope.get("dry_run") else "at"
    ctx.log(Level.INFO, f"{scope['namespace']} {how} commit {(done['commit'] or '-')[:7]}: {told}")
    return dict(done)


def plain_files(ctx: RunContext, namespace: str) -> dict[str, str]:
    """The files of a namespace that people and tasks have put there: path -> what they hold."""
    top = places.namespace_files(namespace)
    found: dict[str, str] = {}
    for facts in ctx.storage.walk(top):
        if facts.name == FOLDER_MARK:
            continue
        digest = hashlib.sha256()
        with ctx.storage.open(facts.uri) as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
        found[facts.uri.removeprefix(top)] = digest.hexdigest()
    return found


def uncover(ctx: RunContext, items: Iterable[Mapping[str, Any]]) -> None:
    """Delete the plain files that Git's have taken the place of, or that Git does not have."""
    if isinstance(ctx.storage, NamespaceStorage):
        for item in items:
            if item["kind"] == "file" and item["action"] in ("ADDED", "UPDATED", "PRUNED"):
                ctx.storage.delete_hidden(places.namespace_file(item["namespace"], item["id"]))


def _in_order(items: Iterable[Row]) -> list[Row]:
    """Deletions first, then by the place in Git."""
    kept = [item for item in items if item["action"] in STATES]
    return sorted(kept, key=lambda one: (one["action"] != "PRUNED", one["path"] or "", one["id"]))


def _flow_row(item: Row) -> Row:
    return {
        "gitPath": item["path"],
        "syncState": STATES[item["action"]],
        "flowId": item["id"],
        "namespace": item["namespace"],
        "revision": item["revision"],
    }


def _file_row(item: Row) -> Row:
    return {
        "gitPath": item["path"],
        "syncState": STATES[item["action"]],
        "kestraPath": item["id"],
    }
