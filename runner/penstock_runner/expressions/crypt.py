"""Texts encrypted as flows know it: base64 of 12 starting bytes, cipher text and tag."""

from __future__ import annotations

import base64
import binascii

from penstock_runner.expressions.aes import TAG_BYTES, WrongTag, seal, unseal
from penstock_runner.expressions.errors import ExpressionFailed

IV_BYTES = 12


def encrypt(key: str, plaintext: str, start: bytes) -> str:
    """The text encrypted under a base64 key; `start` must be fresh random bytes."""
    return base64.b64encode(start + seal(_key(key), start, plaintext.encode())).decode()


def decrypt(key: str, encrypted: str) -> str:
    """The text that `encrypt` was given."""
    secret = _key(key)
    try:
        data = base64.b64decode(encrypted, validate=True)
    except (binascii.Error, ValueError):
        raise ExpressionFailed("The encrypted text is not base64") from None
    if len(data) < IV_BYTES + TAG_BYTES:
        raise ExpressionFailed("The encrypted text is too short")
    try:
        return unseal(secret, data[:IV_BYTES], data[IV_BYTES:]).decode()
    except WrongTag:
        raise ExpressionFailed("Tag mismatch: the key is not the one that encrypted it") from None
    except UnicodeDecodeError:
        raise ExpressionFailed("The encrypted text does not hold UTF-8") from None


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) not in {16, 24, 32}:
        raise ExpressionFailed("The encryption key must be base64 of 16, 24 or 32 bytes")
    return key
