"""What a Git task's sync may touch, and the plan for it.

A task owns nothing: what nobody manages in its namespaces is in its reach, flows and files of a
source are not, and neither is the flow that is running.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock_runner.executor.messages import Refused
from penstock_server.store import flows, namespace_files
from penstock_server.sync.deciding import live_flow
from penstock_server.sync.desired import Contents, file_digest
from penstock_server.sync.plan import Action, Item, Key, Live, Options, SyncPlan, plan

_NEVER = 10**9
_TOLD = 20


class TaskRefused(Refused):
    """The sync is not done; the message is the task's failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The namespace that a task syncs, and what it wants done there.

    `flows` and `files` say what is compared; `below` is the folder of files that are. `plain` are
    files that people and tasks have put there, with what they hold.
    """

    namespace: str
    children: bool = False
    flows: bool = True
    files: bool = False
    below: str = "/"
    plain: Mapping[str, str] = field(default_factory=dict)
    missing: str = "KEEP"
    dry_run: bool = False
    skip_invalid: bool = False
    may_be_missing: bool = False
    protected: Sequence[str] = ("system",)
    running: Key | None = None


def plan_for_task(connection: Any, scope: Scope, contents: Contents) -> SyncPlan:
    """Compare what Git has with what is in the namespaces of the task."""
    live = [*_flows(connection, scope, contents), *_files(connection, scope, contents)]
    options = Options(
        source=None,
        prune=scope.missing != "KEEP",
        min=_NEVER,
        protected=scope.protected,
        invalid=contents.invalid,
    )
    return plan(contents.desired, live, {}, options)


def judged(scope: Scope, contents: Contents, decided: SyncPlan) -> None:
    """Raise `TaskRefused` when the plan may not be carried out."""
    errors = () if scope.skip_invalid else contents.errors
    errors = errors or decided.faults
    if errors:
        lines = "\n".join(str(fault) for fault in errors[:_TOLD])
        raise TaskRefused(f"{len(errors)} errors, and nothing was changed:\n{lines}")
    if decided.refusals:
        raise TaskRefused(f"{'; '.join(decided.refusals)}: nothing was changed")
    gone = decided.of(Action.PRUNED)
    if scope.missing == "FAIL" and gone:
        names = ", ".join(f"{item.namespace} {item.id}" for item in gone[:_TOLD])
        raise TaskRefused(f"Git does not have {names}, and nothing was changed")


def item_data(item: Item, commit: str) -> dict[str, Any]:
    """A line of the plan for the task."""
    one = item.desired
    revision = item.next_revision or (item.live.revision if item.live is not None else None)
    return {
        "kind": "file" if item.is_file else "flow",
        "action": item.action.value,
        "namespace": item.namespace,
        "id": item.id,
        "path": one.path if one is not None else None,
        "revision": None if item.is_file else revision,
        "commit": commit,
    }


def _flows(connection: Any, scope: Scope, contents: Contents) -> list[Live]:
    if not scope.flows:
        return []
    inside = [
        head
        for head in flows.list_heads(connection, namespace=scope.namespace)
        if scope.children or head.namespace == scope.namespace
    ]
    wanted = [flow.desired.key for flow in contents.flows]
    found = {(head.namespace, head.id): head for head in inside if head.managed_by is None}
    if scope.running is not None and scope.running not in wanted:
        found.pop(scope.running, None)
    found |= flows.heads(connection, wanted)
    return [live_flow(head) for head in found.values()]


def _files(connection: Any, scope: Scope, contents: Contents) -> list[Live]:
    if not scope.files:
        return []
    below = [part for part in scope.below.split("/") if part not in ("", ".")]
    top = "/" + "".join(f"{part}/" for part in below)
    wanted = {file.desired.key for file in contents.files}
    found = {
        (scope.namespace, path): _live(scope.namespace, path, digest, None)
        for path, digest in scope.plain.items()
    }
    for file in namespace_files.of_namespace(connection, scope.namespace):
        digest = file_digest(file.sha256, executable=file.executable)
        found[file.key] = _live(file.namespace, file.path, digest, file.managed_by)
    return [
        live
        for key, live in found.items()
        if key in wanted or (live.managed_by is None and live.id.startswith(top))
    ]


def _live(namespace: str, path: str, digest: str, managed_by: str | None) -> Live:
    return Live(namespace=namespace, id=path, revision=0, digest=digest, managed_by=managed_by)
