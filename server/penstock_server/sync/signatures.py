"""Whether a webhook delivery comes from who knows the secret: on raw bytes, in constant time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

TOLERANCE = timedelta(seconds=300)
Headers = Mapping[str, str]


class Stale(Exception):
    """The signature is right, its time is not: an old delivery sent again, or a wrong clock."""


def hex_digest(secret: str, body: bytes, algorithm: str = "sha256") -> str:
    """The HMAC of a body in hexadecimal digits."""
    return hmac.new(secret.encode(), body, algorithm).hexdigest()


def any_equal(given: str, expected: Iterable[str]) -> bool:
    """Whether a text is one of some secret ones; takes the same time whichever it is."""
    found = False
    for one in expected:
        found |= hmac.compare_digest(given.encode(), one.encode())
    return found


def prefixed(headers: Headers, name: str, prefix: str, secrets: Sequence[str], body: bytes) -> bool:
    """A header like `sha256=<hex>`; the prefix says the algorithm."""
    given = headers.get(name, "")
    algorithm = prefix.rstrip("=") or "sha256"
    if not given.startswith(prefix):
        return False
    wanted = (hex_digest(secret, body, algorithm) for secret in secrets)
    return any_equal(given.removeprefix(prefix).strip().lower(), wanted)


def standard(headers: Headers, secrets: Sequence[str], body: bytes, now: datetime) -> bool:
    """The scheme of Standard Webhooks; raises `Stale` for a right signature of another time."""
    given = headers.get("webhook-signature", "").split()
    identity, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    signed = b".".join((identity.encode(), moment.encode(), body))
    wanted = [_standard_signature(secret, signed) for secret in secrets]
    found = False
    for one in given:
        found |= one.startswith("v1,") and any_equal(one.removeprefix("v1,"), wanted)
    if found and not fresh(moment, now):
        raise Stale(f"the delivery was signed at {moment}, more than 5 minutes away")
    return found


def _standard_signature(secret: str, signed: bytes) -> str:
    digest = hmac.new(signing_key(secret), signed, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def signing_key(secret: str) -> bytes:
    """The key of Standard Webhooks: base64 behind `whsec_`, else the secret as it is."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return secret.encode()


def fresh(moment: str, now: datetime) -> bool:
    """Whether a time in seconds since 1970 is within five minutes of now."""
    if not moment.isascii() or not moment.isdigit() or len(moment) > 12:
        return False
    return abs(now.timestamp() - int(moment)) <= TOLERANCE.total_seconds()
