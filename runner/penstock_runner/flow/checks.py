"""Checks: conditions on a start that a flow writes down, and what follows when one does not hold.

Rendering is done by a function of the caller, since this room knows no templates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from penstock_runner.flow.model import Check, Level

# A condition as a typed value; raises `CheckFailed` when it cannot be rendered.
Render = Callable[[str], object]

BLOCK, FAIL, CREATE = "BLOCK_EXECUTION", "FAIL_EXECUTION", "CREATE_EXECUTION"
_IN_ORDER = (BLOCK, FAIL, CREATE)
_LEVELS = {"ERROR": Level.ERROR, "WARNING": Level.WARN}


class CheckFailed(ValueError):
    """A condition cannot be told."""


def failed_checks(checks: Iterable[Check], render: Render) -> tuple[Check, ...]:
    """The checks whose condition does not hold; one that cannot be told blocks the start."""
    return tuple(failed for check in checks if (failed := _judged(check, render)) is not None)


def verdict(failed: Sequence[Check]) -> str | None:
    """What follows: the gravest behaviour among those that failed, None when none did."""
    return next((b for b in _IN_ORDER if any(one.behavior == b for one in failed)), None)


def told(failed: Iterable[Check], behavior: str) -> str:
    """The messages of the failed checks of one behaviour, in the order of the flow."""
    return "; ".join(one.message for one in failed if one.behavior == behavior)


def level_of(check: Check) -> Level:
    """How loud the message of a failed check is in the log of an execution."""
    return _LEVELS.get(check.style, Level.INFO)


def _judged(check: Check, render: Render) -> Check | None:
    try:
        holds = render(check.condition)
    except CheckFailed as failed:
        message = f"The check `{check.condition}` cannot be told: {failed}"
        return Check(condition=check.condition, message=message, style="ERROR", behavior=BLOCK)
    return None if holds is True or holds == "true" else check
