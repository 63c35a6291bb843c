"""What is reported of a commit: pure, from the end of a run or an execution to rows of the outbox.

The rows are written with what they tell of, so nothing is told that did not happen, and nothing
that happened stays untold. Tokens are looked up when a row is delivered.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from penstock_runner.engine.state import Execution, State
from penstock_server.store.syncs import Outgoing, SyncRun
from penstock_server.sync.desired import PUSH
from penstock_server.sync.forge_calls import State as Shown
from penstock_server.sync.forge_calls import cut
from penstock_server.sync.settings import SourceSettings

STATUS = "status"
DEPLOYMENT = "deployment"
KINDS = (STATUS, DEPLOYMENT)
LABEL = "system.reportStatus"
_NOT_THERE = frozenset({"errors", "pruned"})
_ENDED: Mapping[State, Shown] = {
    State.SUCCESS: "success",
    State.WARNING: "success",
    State.FAILED: "failure",
    State.KILLED: "error",
    State.CANCELLED: "error",
}


def of_run(settings: SourceSettings, run: SyncRun, ref: str) -> list[Outgoing]:
    """What a run that has ended says to the forge."""
    report = settings.report
    if report is None or run.dry_run or run.to_commit is None or run.ended_at is None:
        return []
    text = described(run)
    url = f"{report.base}/git/runs/{run.id}" if report.base else ""
    rows: list[Outgoing] = []
    if report.statuses:
        said = _body(run.source_id, run.to_commit, ref, run.ended_at, url) | {
            "state": _state(run),
            "context": report.context.replace("{source}", run.source_id),
            "description": text,
        }
        rows.append(Outgoing(kind=STATUS, body=said, next_at=run.ended_at))
    if report.deployments and run.phase == "succeeded":
        said = _body(run.source_id, run.to_commit, ref, run.ended_at, url) | {
            "environment": report.deployments,
            "description": text,
        }
        rows.append(Outgoing(kind=DEPLOYMENT, body=said, next_at=run.ended_at))
    return rows


def of_commit(
    settings: SourceSettings, commit: tuple[str, str], state: Shown, text: str, now: datetime
) -> list[Outgoing]:
    """What is said of a commit without a run: that it is worked on, or that this ended badly."""
    report = settings.report
    if report is None or not report.statuses:
        return []
    sha, ref = commit
    url = f"{report.base}/git/{settings.id}" if report.base else ""
    said = _body(settings.id, sha, ref, now, url) | {
        "state": state,
        "context": report.context.replace("{source}", settings.id),
        "description": cut(text),
    }
    return [Outgoing(kind=STATUS, body=said, next_at=now)]


def described(run: SyncRun) -> str:
    """A run in one line: what it changed, or the first thing that is wrong."""
    errors = run.errors or {}
    found = errors.get("items") or ()
    if run.phase == "failed" and found:
        first = found[0]
        more = int(errors.get("total") or len(found)) - 1
        tail = f" (+{more} more)" if more else ""
        place = f"{first['path']}:{first['line']}" if first.get("line") else first["path"]
        room = 140 - len(tail)
        text = f"{place} {first['message']}"
        return cut(text if len(text) <= room else text[: room - 3] + "...") + tail
    if run.phase in ("failed", "refused"):
        return cut(str(errors.get("message") or run.phase))
    counts: Mapping[str, int] = run.counts or {}
    total = sum(number for name, number in counts.items() if name not in _NOT_THERE)
    parts = [
        f"{counts[name]} {word}"
        for name, word in (("updated", "changed"), ("added", "added"), ("pruned", "removed"))
        if counts.get(name)
    ]
    return ", ".join([*parts, f"{total} total"])


def of_execution(
    sources: Mapping[str, SourceSettings], execution: Execution, told_before: int
) -> list[Outgoing]:
    """What an execution that a push has started says when it begins and when it ends.

    It says so when its flow has the label `system.reportStatus`. `told_before` is how much of its
    history was known before.
    """
    trigger = execution.trigger
    if trigger is None or trigger.type != PUSH or not _asked(execution.labels):
        return []
    settings = sources.get(str(trigger.variables.get("source")))
    if settings is None or settings.report is None:
        return []
    rows: list[Outgoing] = []
    state, at = execution.history[-1]
    if told_before == 0:
        begun = execution.history[0][1]
        rows.append(_row(settings, execution, "pending", begun))
    if state in _ENDED:
        rows.append(_row(settings, execution, _ENDED[state], at))
    return rows


def is_same_subject(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two rows must arrive in their order."""
    names = ("source", "sha", "context", "environment")
    return all(one.get(name) == other.get(name) for name in names)


def _row(settings: SourceSettings, execution: Execution, state: Shown, at: datetime) -> Outgoing:
    seen = execution.trigger.variables if execution.trigger is not None else {}
    base = settings.report.base if settings.report is not None else ""
    name = f"{execution.namespace}.{execution.flow_id}"
    where = f"{execution.namespace}/{execution.flow_id}/{execution.id}"
    url = f"{base}/executions/{where}" if base else ""
    ref = f"refs/heads/{seen['branch']}" if seen.get("branch") else f"refs/tags/{seen.get('tag')}"
    said = _body(settings.id, str(seen["commit"]), ref, at, url) | {
        "state": state,
        "context": f"penstock/{name}",
        "description": f"execution {execution.id} {execution.state.value.lower()}",
    }
    return Outgoing(kind=STATUS, body=said, next_at=at)


def _asked(labels: Mapping[str, str]) -> bool:
    return str(labels.get(LABEL, "")).lower() == "true"


def _state(run: SyncRun) -> Shown:
    if run.phase in ("succeeded", "noop"):
        return "success"
    errors = run.errors or {}
    # A run that failed without a faulty file met trouble of ours.
    return "failure" if run.phase == "failed" and errors.get("items") else "error"


def _body(source: str, sha: str, ref: str, at: datetime, url: str) -> dict[str, Any]:
    return {"source": source, "sha": sha, "ref": ref, "since": at.isoformat(), "url": url}
