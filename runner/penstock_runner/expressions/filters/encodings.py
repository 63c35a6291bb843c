"""Filters that encode, decode and hash texts."""

from __future__ import annotations

import base64
import binascii
import hashlib
from urllib.parse import quote_plus, unquote_to_bytes

from penstock_runner.expressions.callee import Table, offer
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.filters.arguments import text
from penstock_runner.expressions.text import printed

ENCODINGS: Table = {}


@offer(ENCODINGS, "base64encode")
def base64encode(value: object) -> str:
    """The UTF-8 bytes of a text in base64."""
    return base64.b64encode(printed(value).encode()).decode()


@offer(ENCODINGS, "base64decode")
def base64decode(value: object) -> str:
    """The UTF-8 text that a base64 text holds."""
    try:
        return base64.b64decode(text(value, "base64decode"), validate=True).decode()
    except (binascii.Error, ValueError):
        raise ExpressionFailed("The text is not base64 of a UTF-8 text") from None


@offer(ENCODINGS, "urlencode")
def urlencode(value: object) -> str:
    """The text in form encoding."""
    return quote_plus(text(value, "urlencode"), safe="*").replace("~", "%7E")


@offer(ENCODINGS, "urldecode")
def urldecode(value: object) -> str:
    """The text that a form-encoded text holds."""
    encoded = text(value, "urldecode").replace("+", " ")
    return unquote_to_bytes(encoded).decode("utf-8", "replace")


def _hash(name: str) -> None:
    @offer(ENCODINGS, name)
    def hashed(value: object) -> str:
        if not isinstance(value, str) and name != "sha256":
            raise ExpressionFailed(f"Need a string to hash: the '{name}' filter takes a text")
        digest = hashlib.new(name, printed(value).encode(), usedforsecurity=False)
        return digest.hexdigest()


for _algorithm in ("md5", "sha1", "sha256", "sha512"):
    _hash(_algorithm)
