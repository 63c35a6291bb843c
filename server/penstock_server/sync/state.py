"""What is known of a source, and how one look or one run changes it: values and pure functions.

The status says in one word how a source stands; conditions say why, with what to do. The flows that
run are always those of `applied_commit`, whatever the status.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from penstock_server.sync.asked import Pin
from penstock_server.sync.polling import next_after_failure, next_after_success
from penstock_server.sync.settings import SourceSettings

SUSPENDED = "Suspended"
PROGRESSING = "Progressing"
DEGRADED = "Degraded"
OUT_OF_SYNC = "OutOfSync"
SYNCED = "Synced"
UNKNOWN = "Unknown"
PINNED = "Pinned"
DRIFTED = "DriftDetected"
UNVERIFIED = "TlsUnverified"

_FAILURES_SHOWN = 3
_FETCH_TYPES = frozenset({"FetchFailed", "RefMissing", "AuthFailed"})
_RUN_TYPES = frozenset({"InvalidFiles", "PruneBlocked", "OwnershipConflict", "ApplyFailed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Why a source is not simply fine."""

    type: str
    since: datetime
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """What the service remembers of a source; the same as its row."""

    id: str
    observed_commit: str | None = None
    observed_at: datetime | None = None
    observed_ref: str | None = None
    applied_commit: str | None = None
    applied_at: datetime | None = None
    applied_run_id: str | None = None
    failed_commit: str | None = None
    next_poll_at: datetime | None = None
    failures: int = 0
    conditions: tuple[Condition, ...] = ()
    webhook_at: datetime | None = None
    pinned_commit: str | None = None
    pinned_by: str | None = None
    pinned_reason: str | None = None
    pinned_until: datetime | None = None
    behind: int = 0
    config_digest: str = ""

    def has(self, *types: str) -> bool:
        """Whether one of these conditions holds."""
        return any(condition.type in types for condition in self.conditions)


def status_of(
    state: SourceState, settings: SourceSettings, now: datetime, *, busy: bool = False
) -> str:
    """The status in one word; the first that fits."""
    if not settings.enabled or state.pinned_commit is not None:
        return SUSPENDED
    if busy:
        return PROGRESSING
    if state.observed_at is None and state.failures == 0:
        return UNKNOWN
    stale = state.observed_at is not None and now - state.observed_at > _patience(settings)
    failed = state.observed_commit is not None and state.failed_commit == state.observed_commit
    if failed or stale or state.failures >= _FAILURES_SHOWN or state.has(*_RUN_TYPES):
        return DEGRADED
    if state.observed_at is None:
        return UNKNOWN
    same = state.applied_commit == state.observed_commit and not state.has(DRIFTED)
    return SYNCED if same else OUT_OF_SYNC


def _patience(settings: SourceSettings) -> timedelta:
    return max(10 * settings.interval, timedelta(hours=1, minutes=30))


def seen(
    state: SourceState, settings: SourceSettings, commit: str, ref: str, now: datetime
) -> SourceState:
    """The remote answered; `commit` is what it has."""
    return replace(
        state,
        behind=0 if commit == state.applied_commit else state.behind,
        observed_commit=commit,
        observed_at=now,
        observed_ref=ref,
        failures=0,
        conditions=_without(state.conditions, _FETCH_TYPES),
        next_poll_at=next_after_success(settings, now, state.webhook_at),
    )


def unreachable(
    state: SourceState,
    settings: SourceSettings,
    now: datetime,
    *,
    code: str,
    message: str,
    retry_after: int | None = None,
) -> SourceState:
    """The remote could not be read."""
    failures = state.failures + 1
    kind = {"GIT_AUTH": "AuthFailed", "GIT_HOST_KEY": "AuthFailed"}.get(code, "FetchFailed")
    kind = "RefMissing" if code in ("GIT_REF_NOT_FOUND", "GIT_EMPTY") else kind
    return replace(
        state,
        failures=failures,
        conditions=_with(state.conditions, _FETCH_TYPES, _condition(kind, code, message, now)),
        next_poll_at=next_after_failure(settings, failures, code, now, retry_after),
    )


def troubled(
    state: SourceState, *, kind: str, code: str, message: str, now: datetime
) -> SourceState:
    """One more condition, which says nothing of commits: `fine_again` takes it away."""
    new = _condition(kind, code, message, now)
    return replace(state, conditions=_with(state.conditions, frozenset(), new))


def fine_again(state: SourceState, kind: str) -> SourceState:
    """The condition holds no longer."""
    return replace(state, conditions=_without(state.conditions, frozenset({kind})))


def refused(
    state: SourceState, commit: str, *, kind: str, code: str, message: str, now: datetime
) -> SourceState:
    """The commit was not applied and is not tried again by itself."""
    return replace(
        state,
        failed_commit=commit,
        conditions=_with(state.conditions, _RUN_TYPES, _condition(kind, code, message, now)),
    )


def applied(
    state: SourceState,
    now: datetime,
    *,
    commit: str,
    run_id: str,
    digest: str,
    rewritten: bool,
    skipped: int = 0,
) -> SourceState:
    """The commit is what runs now."""
    conditions = _without(state.conditions, _RUN_TYPES | {"HistoryRewritten"})
    if rewritten:
        text = f"commit {commit[:7]} does not follow {(state.applied_commit or '')[:7]}"
        conditions += (_condition("HistoryRewritten", "HISTORY_REWRITTEN", text, now),)
    if skipped:
        text = f"{skipped} files have faults and were skipped"
        conditions += (_condition("InvalidFiles", "INVALID_FILES", text, now),)
    return replace(
        state,
        applied_commit=commit,
        applied_at=now,
        applied_run_id=run_id,
        failed_commit=None,
        config_digest=digest,
        conditions=conditions,
    )


def pinned(state: SourceState, now: datetime, pin: Pin) -> SourceState:
    """The commit that was just applied stays; `seen` goes on counting what comes after it."""
    state = replace(
        state,
        pinned_commit=state.applied_commit,
        pinned_by=pin.by,
        pinned_reason=pin.reason,
        pinned_until=pin.until,
        next_poll_at=now,
    )
    by = f" by {pin.by}" if pin.by else ""
    why = f": {pin.reason}" if pin.reason else ""
    until = f", until {pin.until:%Y-%m-%d %H:%M} UTC" if pin.until is not None else ""
    text = f"pinned to {(state.applied_commit or '')[:7]}{by}{until}{why}"
    return troubled(state, kind=PINNED, code="PINNED", message=text, now=now)


def unpinned(state: SourceState) -> SourceState:
    """The source follows its repository again."""
    state = replace(
        state, pinned_commit=None, pinned_by=None, pinned_reason=None, pinned_until=None
    )
    return fine_again(state, PINNED)


def edited(state: SourceState, flows: Collection[tuple[str, str]], now: datetime) -> SourceState:
    """These flows of the source differ from what it has, because somebody has edited them."""
    if not flows:
        return fine_again(state, DRIFTED)
    names = sorted(".".join(name) for name in flows)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    text = f"edited here, unlike the repository: {', '.join(names[:3])}{more}"
    return troubled(state, kind=DRIFTED, code="DRIFT_DETECTED", message=text, now=now)


def verified(state: SourceState, settings: SourceSettings, now: datetime) -> SourceState:
    """Say that nobody checks who the host is, where the settings want it so."""
    if not settings.tls.insecure_skip_verify:
        return fine_again(state, UNVERIFIED)
    text = "`tls.insecureSkipVerify` is on: anybody between here and the host can change flows"
    return troubled(state, kind=UNVERIFIED, code="TLS_UNVERIFIED", message=text, now=now)


def _condition(kind: str, code: str, message: str, now: datetime) -> Condition:
    return Condition(type=kind, since=now, code=code, message=message)


def _without(conditions: Iterable[Condition], types: frozenset[str]) -> tuple[Condition, ...]:
    return tuple(condition for condition in conditions if condition.type not in types)


def _with(
    conditions: tuple[Condition, ...], replaced: frozenset[str], new: Condition
) -> tuple[Condition, ...]:
    """The conditions with one more; `since` stays when it held before."""
    since = next((one.since for one in conditions if one.type == new.type), new.since)
    return (*_without(conditions, replaced | {new.type}), replace(new, since=since))
