"""Sources and runs as rows, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from penstock_runner.flow.faults import Fault
from penstock_server.store.sources import GitCommit, GitSource
from penstock_server.store.syncs import SyncItem, SyncRun
from penstock_server.sync.asked import Look
from penstock_server.sync.plan import SAVED, Item, Key, SyncPlan
from penstock_server.sync.reading import fault_data
from penstock_server.sync.settings import SourceSettings
from penstock_server.sync.state import SUSPENDED, Condition, SourceState, status_of

ERRORS_KEPT = 200
NOT_CONFIGURED = "NOT_CONFIGURED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt to bring a source to a commit."""

    id: str
    source_id: str
    look: Look
    message: Mapping[str, Any]
    before: str | None
    started: datetime
    warnings: Sequence[Fault] = ()

    @property
    def sha(self) -> str:
        """The commit to reach."""
        return str(self.message["commit"]["sha"])

    def row(
        self, phase: str, now: datetime, decided: SyncPlan, errors: Sequence[Fault], message: str
    ) -> SyncRun:
        """The row of the run as it ends."""
        told = {"total": len(errors), "message": message, "items": _kept(errors)}
        return SyncRun(
            id=self.id,
            source_id=self.source_id,
            trigger=self.look.trigger,
            actor=self.look.actor,
            from_commit=self.before,
            to_commit=self.sha,
            phase=phase,
            started_at=self.started,
            ended_at=now,
            counts={**decided.counts, "errors": len(errors)},
            errors=told if errors or message else None,
            delivery_id=self.look.delivery_id,
            dry_run=self.look.aim == "plan",
            plan_digest=decided.digest,
            history_rewritten=bool(self.message["rewritten"]),
            warnings=_kept(self.warnings) or None,
        )

    def result(
        self, phase: str, decided: SyncPlan, errors: Sequence[Fault], message: str
    ) -> dict[str, Any]:
        """What those who wait are told."""
        return {
            "source": self.source_id,
            "run": self.id,
            "phase": phase,
            "commit": self.sha,
            "message": message,
            "counts": dict(decided.counts),
            "digest": decided.digest,
            "errors": _kept(errors),
            "warnings": _kept(self.warnings),
        }


def _kept(faults: Sequence[Fault]) -> list[dict[str, Any]]:
    return [fault_data(fault) for fault in faults[:ERRORS_KEPT]]


def source_row(
    settings: SourceSettings, state: SourceState, now: datetime, *, busy: bool = False
) -> GitSource:
    """The row of a source. Nothing of `auth` is in it."""
    return GitSource(
        id=settings.id,
        url=settings.shown_url,
        ref_kind=settings.ref_kind,
        ref=settings.ref_name,
        path=settings.path,
        config=settings.model_dump(
            mode="json", by_alias=True, exclude={"auth", "url"}, exclude_unset=True
        ),
        config_digest=state.config_digest,
        origin=settings.origin,
        enabled=settings.enabled,
        pinned_commit=state.pinned_commit,
        pinned_by=state.pinned_by,
        pinned_reason=state.pinned_reason,
        pinned_until=state.pinned_until,
        behind=state.behind,
        observed_commit=state.observed_commit,
        observed_at=state.observed_at,
        observed_ref=state.observed_ref,
        applied_commit=state.applied_commit,
        applied_at=state.applied_at,
        applied_run_id=state.applied_run_id,
        failed_commit=state.failed_commit,
        next_poll_at=state.next_poll_at,
        failures=state.failures,
        status=status_of(state, settings, now, busy=busy),
        conditions=[condition_data(one) for one in state.conditions],
        webhook_at=state.webhook_at,
        updated_at=now,
    )


def orphaned(row: GitSource, now: datetime) -> GitSource:
    """The row of a source that is no longer configured."""
    message = (
        "the configuration names it no longer; its flows stay as they are."
        f" `penstock git remove {row.id}` lets go of them, with --prune it deletes them"
    )
    condition = Condition(type="Removed", since=now, code=NOT_CONFIGURED, message=message)
    return replace(
        row,
        enabled=False,
        status=SUSPENDED,
        next_poll_at=None,
        conditions=[condition_data(condition)],
        updated_at=now,
    )


def is_orphan(row: GitSource) -> bool:
    """Whether the row says already that its source is no longer configured."""
    return any(one.get("code") == NOT_CONFIGURED for one in row.conditions or ())


def state_of(row: GitSource) -> SourceState:
    """What a row remembers of its source."""
    return SourceState(
        id=row.id,
        observed_commit=row.observed_commit,
        observed_at=row.observed_at,
        observed_ref=row.observed_ref,
        applied_commit=row.applied_commit,
        applied_at=row.applied_at,
        applied_run_id=row.applied_run_id,
        failed_commit=row.failed_commit,
        failures=row.failures,
        conditions=tuple(
            Condition(
                type=one["type"],
                since=datetime.fromisoformat(one["since"]),
                code=one["code"],
                message=one["message"],
            )
            for one in row.conditions or ()
        ),
        webhook_at=row.webhook_at,
        pinned_commit=row.pinned_commit,
        pinned_by=row.pinned_by,
        pinned_reason=row.pinned_reason,
        pinned_until=row.pinned_until,
        behind=row.behind,
        config_digest=row.config_digest,
    )


def commit_of(source_id: str, data: Mapping[str, Any]) -> GitCommit:
    """A commit as the git process tells it."""
    return GitCommit(
        source_id=source_id,
        sha=data["sha"],
        parents=data["parents"],
        author_name=data["author_name"],
        author_email=data["author_email"],
        author_time=datetime.fromisoformat(data["author_time"]),
        committer_time=datetime.fromisoformat(data["committer_time"]),
        subject=data["subject"],
        message=data["message"],
    )


def sync_item(item: Item, sha: str, revisions: Mapping[Key, int] | None = None) -> SyncItem:
    """A line of a plan as a row; without `revisions` it was not carried out."""
    one = item.desired
    numbered = revisions is not None and item.action in SAVED and item.is_flow
    return SyncItem(
        kind=item.kind,
        namespace=item.namespace,
        name=item.name,
        path=one.path if one is not None else None,
        blob=one.blob if one is not None else None,
        action=item.action.value,
        from_revision=(item.live.revision or None) if item.live is not None else None,
        to_revision=revisions.get(item.key) if numbered and revisions is not None else None,
        commit_sha=sha,
    )


def condition_data(condition: Condition) -> dict[str, Any]:
    """A condition as plain data."""
    return {
        "type": condition.type,
        "since": condition.since.isoformat(),
        "code": condition.code,
        "message": condition.message,
    }
