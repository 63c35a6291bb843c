"""Notes of who changed what, for the transaction that changes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_runner.executor.store import Write
from penstock_server.store import audits
from penstock_server.sync.held import Around
from penstock_server.sync.rows import Run

CONFIGURATION = "configuration"


def note(
    around: Around,
    action: str,
    subject: str,
    actor: str | None,
    details: Mapping[str, Any] | None = None,
) -> Write:
    """What writes that somebody did this to a source or a flow."""
    event = audits.AuditEvent(
        id=around.starter.new_id(),
        at=around.clock.now(),
        action=action,
        subject=subject,
        actor=actor,
        details=details,
    )

    def write(tx: Any) -> None:
        audits.add(tx.connection, event)

    return write


def decided_by_people(around: Around, run: Run, digest: str) -> list[Write]:
    """Notes of what a run could not have done by itself: a confirmed plan, a rollback."""
    look, details = run.look, {"commit": run.sha, "run": run.id}
    found: list[Write] = []
    if look.confirmed is not None or look.accept_rewrite:
        confirmed = {**details, "digest": digest, "rewrite": look.accept_rewrite}
        found.append(note(around, "sync.confirmed", run.source_id, look.actor, confirmed))
    if look.pin is not None:
        until = look.pin.until.isoformat() if look.pin.until is not None else None
        rolled = {**details, "reason": look.pin.reason, "until": until}
        found.append(note(around, "source.rolledBack", run.source_id, look.actor, rolled))
    return found
