"""What every request meets before a route does: the host it names, its origin, its sender.

A page of another site must not be able to act here with a visitor's browser: the Host header names
one of ours, and what changes things comes from our own pages or from no page at all. Nothing here
looks at a body.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from flask import Flask, Response, request
from werkzeug.security import check_password_hash

from penstock_server.api.context import BasicAuth, Settings
from penstock_server.api.problems import Problem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
REMEMBERED_SECONDS = 300
REMEMBERED_PAIRS = 1000
CHECKS_AT_ONCE = 2
OPEN_PATHS = ("/ping", "/health")
# `/git/webhooks/<source>` and `/git/webhook` prove themselves by their signature.
SIGNED_PATHS = ("/api/v1/git/webhook", "/api/v1/main/git/webhook")
HOOK_PATHS = (
    *SIGNED_PATHS,
    "/api/v1/executions/webhook/",
    "/api/v1/main/executions/webhook/",
)
POLICY = "Content-Security-Policy"
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none';"
        " frame-ancestors 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Passwords:
    """Checks basic auth; a pair found right is remembered, as a keyed hash, for five minutes."""

    def __init__(self, auth: BasicAuth, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._auth = auth
        self._monotonic = monotonic
        self._key = secrets.token_bytes(32)
        self._known: dict[bytes, float] = {}
        self._slots = threading.BoundedSemaphore(CHECKS_AT_ONCE)

    def right(self, header: str) -> bool:
        """Whether an Authorization header holds the right name and password."""
        mark = hmac.digest(self._key, header.encode("utf-8", "replace"), hashlib.sha256)
        until = self._known.get(mark)
        if until is not None and until > self._monotonic():
            return True
        pair = _pair(header)
        if pair is None:
            return False
        # Scrypt is slow on purpose: at most two at once, so guessing cannot take all threads' time.
        with self._slots:
            password = check_password_hash(self._auth.password_hash, pair[1])
        name = hmac.compare_digest(pair[0].encode(), self._auth.username.encode())
        if not (password and name):
            return False
        if len(self._known) >= REMEMBERED_PAIRS:
            self._known = {}
        self._known[mark] = self._monotonic() + REMEMBERED_SECONDS
        return True


def install(app: Flask, settings: Settings) -> None:
    """Guard every request and mark every answer."""
    passwords = Passwords(settings.basic_auth) if settings.basic_auth else None
    hosts = frozenset(name.lower() for name in settings.allowed_hosts)
    ours = _origin(settings.url) if settings.url else None
    open_paths = (*OPEN_PATHS, *SIGNED_PATHS, *settings.open_paths)
    if settings.public_status:
        # What the page looks like is no secret.
        open_paths = (*open_paths, "/status", "/static")

    @app.before_request
    def _guard() -> None:
        _check_host(hosts)
        if request.method not in SAFE_METHODS:
            _check_origin(ours)
        if passwords is not None and not opened(request.path, open_paths):
            _check_password(passwords)

    @app.after_request
    def _mark(answer: Response) -> Response:
        headers = answer.headers
        more = (
            HEADERS if POLICY not in headers else {k: v for k, v in HEADERS.items() if k != POLICY}
        )
        headers.extend(more)
        if request.path.startswith("/api/") and "Cache-Control" not in headers:
            headers.add("Cache-Control", "no-store")
        return answer


def opened(path: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a path is one of the prefixes or below it."""
    return any(
        path == prefix
        or path.startswith(prefix if prefix.endswith("/") else prefix + "/")
        # The two addresses of signed webhooks differ in their last letter only.
        or (prefix in SIGNED_PATHS and path.startswith(prefix + "s/"))
        for prefix in prefixes
    )


def host_name(host: str) -> str:
    """The name of a Host header without its port, in lower case; brackets of IPv6 are dropped."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0] if name.count(":") == 1 else name


def _check_host(hosts: frozenset[str]) -> None:
    if "*" not in hosts and host_name(request.headers.get("Host", "")) not in hosts:
        raise Problem(
            HTTPStatus.MISDIRECTED_REQUEST,
            "the Host header names none of this server's hosts; add it to the allowed hosts",
        )


def _check_origin(ours: str | None) -> None:
    if request.path.startswith(HOOK_PATHS) or _is_token_call():
        return
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise Problem(HTTPStatus.FORBIDDEN, "a page of another site may not change things here")
    origin = request.headers.get("Origin")
    if origin is None:
        return
    own = {f"{request.scheme}://{request.host}".lower(), ours}
    if origin.lower() not in own:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "the Origin header names another site; set the server's URL if not",
        )


def _is_token_call() -> bool:
    """A call with a bearer token and no cookie: no browser adds such a header by itself."""
    authorization = request.headers.get("Authorization", "")
    return authorization[:7].lower() == "bearer " and "Cookie" not in request.headers


def _check_password(passwords: Passwords) -> None:
    header = request.headers.get("Authorization", "")
    if not header or not passwords.right(header):
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "name and password are needed",
            headers={"WWW-Authenticate": 'Basic realm="Penstock", charset="UTF-8"'},
        )


def _pair(header: str) -> tuple[str, str] | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > 4096:
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    name, colon, password = text.partition(":")
    return (name, password) if colon else None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
