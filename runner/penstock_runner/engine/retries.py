"""When a failed attempt is tried again: a date, or never."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from penstock_runner.flow.durations import LONGEST
from penstock_runner.flow.model import Retry


def next_try(
    retry: Retry, *, tries: int, ended: datetime, first: datetime, seed: str
) -> datetime | None:
    """When the try after the `tries`-th begins; None when the retry is spent.

    `ended` is the end of the last try, `first` the start of the first one. A "random" delay is
    spread by hashing `seed`, so that the same history always gives the same date.
    """
    if retry.max_attempts is not None and tries >= retry.max_attempts:
        return None
    delay = min(_delay(retry, tries, seed), LONGEST)
    if retry.max_duration is not None and (ended - first) + delay > retry.max_duration:
        return None
    return ended + delay


def _delay(retry: Retry, tries: int, seed: str) -> timedelta:
    interval = retry.interval or timedelta()
    match retry.type:
        case "constant":
            return interval
        case "exponential":
            # Linear, and 0 before the first retry: the language calls that exponential.
            longest = LONGEST if retry.max_interval is None else min(retry.max_interval, LONGEST)
            factor = 2 if retry.delay_factor is None else retry.delay_factor
            return min(_grown(interval, factor, tries), longest)
        case "random":
            low = retry.min_interval or timedelta()
            spread = (retry.max_interval or low) - low
            return low + spread * _spread(seed)


def _grown(interval: timedelta, factor: float, tries: int) -> timedelta:
    try:
        return max(interval * int(factor) * (tries - 1), timedelta())
    except (OverflowError, ValueError):  # more than a date can bear, or no number
        return LONGEST if factor > 0 else timedelta()


def _spread(seed: str) -> float:
    digest = hashlib.blake2b(seed.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
