"""Which retry policies make no sense; when an attempt is tried again is the engine's to say."""

from __future__ import annotations

from collections.abc import Iterator

from penstock_runner.flow.durations import to_iso
from penstock_runner.flow.model import Retry


def answers(retry: Retry, reason: str | None, exit_code: int | None) -> bool:
    """Whether a failure is one that this policy tries again; without conditions each is."""
    if not retry.when and not retry.exit_codes:
        return True
    return reason in retry.when or exit_code in retry.exit_codes


_REQUIRED = {
    "constant": ("interval",),
    "exponential": ("interval", "max_interval"),
    "random": ("min_interval", "max_interval"),
}
_NAMES = {
    "interval": "interval",
    "min_interval": "minInterval",
    "max_interval": "maxInterval",
    "max_duration": "maxDuration",
}
_ORDER = {
    "constant": (("interval", "max_duration"),),
    "exponential": (("interval", "max_duration"), ("interval", "max_interval")),
    "random": (
        ("min_interval", "max_duration"),
        ("max_interval", "max_duration"),
        ("min_interval", "max_interval"),
    ),
}


def reasons(retry: Retry) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a policy: the property, the code and the message."""
    if retry.max_attempts is not None and retry.max_attempts < 1:
        message = "'maxAttempts' must be greater than or equal to 1"
        yield "maxAttempts", "BAD_VALUE", message
    for field in _REQUIRED[retry.type]:
        if getattr(retry, field) is None:
            name = _NAMES[field]
            yield name, "MISSING_PROPERTY", f"'{name}' must not be null"
    for smaller, larger in _ORDER[retry.type]:
        low, high = getattr(retry, smaller), getattr(retry, larger)
        if low is not None and high is not None and low >= high:
            message = (
                f"'{_NAMES[smaller]}' must be less than '{_NAMES[larger]}' but is {to_iso(low)}"
            )
            yield _NAMES[smaller], "BAD_VALUE", message
