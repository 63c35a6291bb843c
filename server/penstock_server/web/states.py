"""What the pages call each state, and which of several counts most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

LABELS: Mapping[str, str] = {
    "CREATED": "Created",
    "QUEUED": "Queued",
    "RUNNING": "Running",
    "RETRYING": "Retrying",
    "RESTARTED": "Restarted",
    "PAUSED": "Paused",
    "KILLING": "Killing",
    "SUCCESS": "Success",
    "WARNING": "Warning",
    "FAILED": "Failed",
    "KILLED": "Killed",
    "CANCELLED": "Cancelled",
    "SKIPPED": "Skipped",
    "RETRIED": "Retried",
    "LATE": "Late",
    "SYNCED": "Synced",
    "PROGRESSING": "Progressing",
    "OUTOFSYNC": "Out of sync",
    "DEGRADED": "Degraded",
    "SUSPENDED": "Pinned",
    "OFF": "Switched off",
    "UNREACHED": "Not reached yet",
}
# Without a symbol of their own.
_PLAIN = frozenset({"OFF", "UNREACHED"})
EXECUTION_STATES = tuple(LABELS)[:14]
OPEN = frozenset(
    {"CREATED", "QUEUED", "RUNNING", "RETRYING", "RESTARTED", "PAUSED", "KILLING"},
)
GOING = frozenset({"RUNNING", "RETRYING", "RESTARTED", "KILLING"})
_WEIGHT = (
    "FAILED",
    "LATE",
    "WARNING",
    "PAUSED",
    "KILLING",
    "RUNNING",
    "RETRYING",
    "RESTARTED",
    "QUEUED",
    "CREATED",
)


def label(state: str) -> str:
    """The word for a state."""
    return LABELS.get(state, "Not looked at yet" if state == "UNKNOWN" else state.capitalize())


def icon(state: str) -> str:
    """The symbol of a state in the sprite."""
    return state if state in LABELS and state not in _PLAIN else "CREATED"


def heaviest(states: Iterable[str]) -> str | None:
    """The state that stands for several."""
    found = list(states)
    for state in _WEIGHT:
        if state in found:
            return state
    return found[0] if found else None
