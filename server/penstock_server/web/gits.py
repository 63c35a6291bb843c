"""Git sources for pages: how each stands, what it did, what is wrong in its files. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock_server.store.sources import GitCommit, GitSource
from penstock_server.store.syncs import SyncRun
from penstock_server.web import forge_links, formats, states

RESULTS: Mapping[str, tuple[str, str]] = {
    "succeeded": ("SYNCED", "Applied"),
    "failed": ("DEGRADED", "Refused"),
    "refused": ("DEGRADED", "Held back"),
    "noop": ("SYNCED", "No change"),
    "running": ("PROGRESSING", "Applying"),
}
SIGNS = (("added", "+"), ("adopted", "~"), ("updated", "~"), ("pruned", "-"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """One source."""

    source: GitSource
    state: str
    told: str
    flows: int
    applied: GitCommit | None
    observed: GitCommit | None
    place: str
    webhook: str

    @property
    def same(self) -> bool:
        """Whether what runs is what the remote has."""
        return self.source.applied_commit == self.source.observed_commit


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run of a source."""

    id: str
    state: str
    word: str
    sha: str | None
    subject: str | None
    changes: str
    by: str
    at: datetime
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFault:
    """Something wrong in one file."""

    path: str
    line: int
    column: int
    code: str
    message: str
    hint: str
    link: str | None = None

    @property
    def place(self) -> str:
        """Where it is, as editors write it."""
        return f"{self.path}:{self.line}:{self.column}" if self.path else "repository"


def source_row(
    source: GitSource, flows: int, commits: Mapping[tuple[str, str], GitCommit]
) -> SourceRow:
    """How one source stands."""
    return SourceRow(
        source=source,
        state=state_of(source),
        told=told(source, flows),
        flows=flows,
        applied=commits.get((source.id, source.applied_commit or "")),
        observed=commits.get((source.id, source.observed_commit or "")),
        place=place_of(source),
        webhook=webhook_of(source),
    )


def state_of(source: GitSource) -> str:
    """What is shown as the state of a source: its status, but for those that are not looked at."""
    if source.status == "Suspended" and source.pinned_commit is None:
        return "OFF"
    if source.status == "Unknown" and source.failures:
        return "UNREACHED"
    return source.status.upper()


def place_of(source: GitSource) -> str:
    """Where its flows come from, in short."""
    if source.origin == "deploy":
        return "deployed"
    return f"{source.url.partition('://')[2] or source.url}, {source.ref}"


def webhook_of(source: GitSource) -> str:
    """How its webhook does, when no moment tells it."""
    codes = {one.get("code") for one in source.conditions or ()}
    if "WEBHOOK_REJECTED" in codes:
        return "rejected"
    if "WEBHOOK_SILENT" in codes:
        return "silent"
    if source.origin == "deploy" or not source.config.get("webhook"):
        return "none"
    return "not heard yet"


def told(source: GitSource, flows: int) -> str:
    """Why a source stands as it does, in one sentence."""
    if source.pinned_commit is not None:
        behind = f", {formats.some(source.behind, 'commit')} behind" if source.behind else ""
        return f"pinned to {source.pinned_commit[:7]}{behind}"
    if source.conditions:
        return str(source.conditions[0].get("message", ""))[:300]
    if source.observed_at is None:
        return "not looked at yet"
    if source.status == "OutOfSync" and source.applied_commit is None:
        return "nothing applied yet"
    waits = source.status == "OutOfSync" and source.behind
    more = f", {formats.some(source.behind, 'commit')} not applied" if waits else ""
    return f"{formats.some(flows, 'flow')}{more}"


def run_row(
    run: SyncRun, source: GitSource, commits: Mapping[tuple[str, str], GitCommit]
) -> RunRow:
    """One line of the history."""
    state, word = RESULTS.get(run.phase, ("CREATED", run.phase.capitalize()))
    commit = commits.get((run.source_id, run.to_commit or ""))
    return RunRow(
        id=run.id,
        state=state,
        word="Tried only" if run.dry_run else word,
        sha=run.to_commit,
        subject=None if commit is None else commit.subject,
        changes=changes(run.counts),
        by=run.actor or run.trigger,
        at=run.ended_at or run.started_at,
        live=run.id == source.applied_run_id,
    )


def changes(counts: Mapping[str, Any] | None) -> str:
    """What a run did, in signs: `+1 ~2 -1`, or its errors."""
    counts = counts or {}
    parts = [f"{sign}{counts[name]}" for name, sign in SIGNS if counts.get(name)]
    if errors := counts.get("errors"):
        parts.append(formats.some(int(errors), "error"))
    return " ".join(parts) or "nothing"


def faults(run: SyncRun | None, source: GitSource) -> tuple[tuple[FileFault, ...], int, str]:
    """The errors of a run, how many there are in all, and what was said about the whole."""
    kept = run.errors if run is not None else None
    if run is None or not isinstance(kept, Mapping):
        return (), 0, ""
    items = [item for item in kept.get("items") or () if isinstance(item, Mapping)]
    found = tuple(file_fault(item, source, run.to_commit) for item in items)
    return found, int(kept.get("total") or len(found)), str(kept.get("message") or "")


def warnings(run: SyncRun, source: GitSource) -> tuple[FileFault, ...]:
    """What a run has to say that did not keep it from its work."""
    items = [item for item in run.warnings or () if isinstance(item, Mapping)]
    return tuple(file_fault(item, source, run.to_commit) for item in items)


def last_with_errors(runs: Sequence[SyncRun], source: GitSource) -> SyncRun | None:
    """The run whose errors explain why the source is not fine."""
    if states.label(source.status.upper()) == "Synced" and not source.conditions:
        return None
    return next((run for run in runs if run.errors and not run.dry_run), None)


def file_fault(item: Mapping[str, Any], source: GitSource, sha: str | None) -> FileFault:
    """A fault with the place where the forge shows it."""
    path, line = str(item.get("path") or ""), int(item.get("line") or 1)
    return FileFault(
        link=forge_links.file_link(source.url, sha, path, line),
        path=path,
        line=line,
        column=int(item.get("column") or 1),
        code=str(item.get("code") or ""),
        message=str(item.get("message") or ""),
        hint=str(item.get("hint") or ""),
    )
