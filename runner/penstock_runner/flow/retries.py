"""When a failed attempt is tried again, and which retry policies make no sense."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from penstock_runner.flow.durations import to_iso
from penstock_runner.flow.model import Retry

NO_DELAY = timedelta(0)


def delay_after(
    retry: Retry, attempt: int, spread: float = 0.0, elapsed: timedelta = NO_DELAY
) -> timedelta | None:
    """How long to wait after attempt `attempt` (from 1); None when there is no other.

    `spread` in [0, 1) chooses the delay of a random policy, `elapsed` is the time from the start of
    the first attempt to the end of this one.
    """
    if retry.max_attempts is not None and attempt >= retry.max_attempts:
        return None
    delay = _delay(retry, attempt, spread)
    if retry.max_duration is not None and elapsed + delay > retry.max_duration:
        return None
    return delay


def _delay(retry: Retry, attempt: int, spread: float) -> timedelta:
    interval = retry.interval or NO_DELAY
    match retry.type:
        case "constant":
            return interval
        case "exponential":
            factor = int(retry.delay_factor) if retry.delay_factor is not None else 2
            longest = retry.max_interval
            try:
                delay = interval * (factor * (attempt - 1))
            except OverflowError:
                delay = timedelta.max
            return delay if longest is None else min(delay, longest)
        case "random":
            low = retry.min_interval or NO_DELAY
            high = retry.max_interval or low
            millis = (high - low) // timedelta(milliseconds=1)
            return low + timedelta(milliseconds=int(millis * spread))


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
