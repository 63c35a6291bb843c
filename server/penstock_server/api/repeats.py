"""Starts that may come twice: the key that names one, and the mark of what was asked with it."""

from __future__ import annotations

import json
from hashlib import sha256

from flask import Request
from werkzeug.datastructures import FileStorage

from penstock_server.api.problems import illegal_argument
from penstock_server.api.starts import given

MAX_KEY = 200
CHUNK = 1 << 20


def idempotency_key(request: Request) -> str | None:
    """The key that the caller has given its start."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not 0 < len(key) <= MAX_KEY:
        raise illegal_argument(f"Idempotency-Key has 1 to {MAX_KEY} characters")
    return key


def mark(request: Request, *about: object) -> str:
    """A digest of a start: what it is about, its inputs, the content of its files."""
    offered = given(request)
    files = {name: _digest(file) for name, file in sorted(offered.files.items())}
    asked = [*about, offered.values, files]
    return sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def _digest(file: FileStorage) -> str:
    digest = sha256()
    while chunk := file.stream.read(CHUNK):
        digest.update(chunk)
    file.stream.seek(0)
    return digest.hexdigest()
