"""Whether a plan may be applied, and if not, why: the same for a sync, a dry run and a deploy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penstock_runner.flow.faults import Fault
from penstock_server.sync.asked import Look
from penstock_server.sync.desired import Contents
from penstock_server.sync.plan import SyncPlan
from penstock_server.sync.settings import SourceSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why a commit is not applied; `kind` is the condition that the source has for it."""

    kind: str
    code: str
    message: str
    errors: Sequence[Fault] = ()

    @property
    def phase(self) -> str:
        """How the run ends: files are at fault, or a guard says no."""
        return "failed" if self.errors else "refused"


def verdict_on(
    settings: SourceSettings,
    look: Look,
    contents: Contents,
    decided: SyncPlan,
    *,
    rewritten: bool,
) -> Verdict | None:
    """Why the plan may not be applied; None when it may."""
    errors = contents.errors if settings.on_invalid == "FAIL" else ()
    errors = errors or decided.faults or (contents.warnings if settings.strict else ())
    if errors:
        kind = "OwnershipConflict" if errors[0].code == "OWNED_BY_OTHER" else "InvalidFiles"
        told = f"{len(errors)} errors; the first: {errors[0]}"
        return Verdict(kind=kind, code=errors[0].code, message=told, errors=errors)
    changed = plan_changed(decided, look.confirmed)
    if changed is not None:
        return Verdict(kind="PruneBlocked", code="PLAN_CHANGED", message=changed)
    if decided.refusals:
        return Verdict(kind="PruneBlocked", code="PRUNE_BLOCKED", message=to_confirm(decided))
    if rewritten and settings.force_push == "refuse" and not look.accept_rewrite:
        told = (
            "the history was rewritten, and `forcePush: refuse` waits for a person:"
            f" `penstock git sync {settings.id} --accept-rewrite` applies it"
        )
        return Verdict(kind="HistoryRewritten", code="HISTORY_REWRITTEN", message=told)
    return None


def plan_changed(decided: SyncPlan, confirmed: str | None) -> str | None:
    """What to say when a plan was confirmed that is no longer the plan."""
    if confirmed is None or confirmed == decided.digest or not decided.changes:
        return None
    return (
        f"plan {confirmed} was confirmed, and by now the plan is {decided.digest}:"
        " look at it again, and confirm that one"
    )


def to_confirm(decided: SyncPlan) -> str:
    """What guards have against a plan, and how it is let through."""
    return f"{'; '.join(decided.refusals)}. Confirm plan {decided.digest} to do it."
