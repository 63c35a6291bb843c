"""When a source is looked at next: pure, and spread so that many sources do not ask at once."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from penstock_server.sync.settings import SourceSettings

MERGED = timedelta(seconds=2)
_SHORTEST = timedelta(seconds=10)
_LONGEST = timedelta(minutes=15)
_STUBBORN = frozenset({"GIT_AUTH", "GIT_NOT_FOUND", "GIT_HOST_KEY", "GIT_ADDRESS"})
_STUBBORN_FIRST = timedelta(minutes=5)
_STUBBORN_LONGEST = timedelta(hours=1)
_WITH_WEBHOOKS = timedelta(minutes=10)
_WEBHOOK_TRUST = timedelta(hours=24)


def spread(settings: SourceSettings, now: datetime) -> float:
    """A number from 0 to 1 that differs from source to source and from look to look."""
    seed = f"{settings.id} {now.isoformat()}".encode()
    return int.from_bytes(hashlib.sha256(seed).digest()[:6]) / (1 << 48)


def first_look(settings: SourceSettings, now: datetime) -> datetime:
    """The first look after a start, somewhere in the first interval."""
    return now + settings.interval * spread(settings, now)


def next_after_success(
    settings: SourceSettings, now: datetime, webhook_at: datetime | None
) -> datetime:
    """After an answer: the interval, with jitter; ten minutes where webhooks are seen to work."""
    interval = settings.interval
    if webhook_at is not None and now - webhook_at < _WEBHOOK_TRUST:
        interval = max(interval, _WITH_WEBHOOKS)
    return now + interval * (1 + settings.jitter * (2 * spread(settings, now) - 1))


def next_after_failure(
    settings: SourceSettings,
    failures: int,
    code: str,
    now: datetime,
    retry_after: int | None = None,
) -> datetime:
    """After the n-th failure in a row: later and later; much later for what only a person mends."""
    if retry_after is not None:
        return now + min(timedelta(seconds=max(1, retry_after)), _STUBBORN_LONGEST)
    doublings = min(failures - 1, 20)
    if code in _STUBBORN:
        return now + min(_STUBBORN_FIRST * (1 << doublings), _STUBBORN_LONGEST)
    longest = min(settings.interval * (1 << min(failures, 20)), _LONGEST)
    return now + max(_SHORTEST, longest * spread(settings, now))
