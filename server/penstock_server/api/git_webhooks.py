"""Webhooks of forges: verified over the raw bytes, then a hint to core to look now.

What a delivery says never decides what is deployed. An unknown source, one without a secret and a
wrong signature all get the same answer, in the same time.
"""

from __future__ import annotations

import secrets
import threading
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request

from penstock_server.api import routing
from penstock_server.api.answers import json_answer
from penstock_server.api.context import Core, GitHook, WebContext
from penstock_server.api.health import note_verdict
from penstock_server.api.problems import Problem
from penstock_server.api.routing import post
from penstock_server.store import queries
from penstock_server.sync.payloads import same_place
from penstock_server.sync.webhooks import (
    LARGEST_BODY,
    Ignored,
    Ping,
    Push,
    Rejected,
    ignored_reason,
    read_push,
)

TOLD_AT_ONCE = 3
TOLD_EVERY = timedelta(minutes=1)
FORGOTTEN_AFTER = timedelta(hours=1)

Verdict = Push | Ping | Ignored | Rejected


class WebhookRoutes:
    """The two addresses that forges call."""

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._rejections = Rejections(context.client)
        # An unknown source is verified too, against a secret nobody has: it takes as long.
        self._nobody = GitHook(secrets=(secrets.token_hex(32),))

    @post("/webhooks/<source_id>")
    def webhook(self, source_id: str) -> Response:
        """A forge says that something was pushed."""
        hook = self._context.git_hooks.get(source_id, self._nobody)
        return self._heard(source_id, self._verdict(hook, _raw_body()))

    @post("/webhook")
    def any_webhook(self) -> Response:
        """The same, for those sources of the repository that the signature fits."""
        raw = _raw_body()
        hooks = dict(self._context.git_hooks.items()) or {"": self._nobody}
        verdicts = {name: self._verdict(hook, raw) for name, hook in hooks.items()}
        fitting = {
            name: verdict for name, verdict in verdicts.items() if not isinstance(verdict, Rejected)
        }
        if not fitting:
            # Whose it was to be is not known, so it is nobody's trouble.
            return self._answer(next(iter(verdicts.values())))
        named = {n: v for n, v in fitting.items() if _concerns(v, hooks[n])}
        if not named:
            reason = "no source reads this repository; call /git/webhooks/<source> to name one"
            return _accepted(next(iter(fitting.values())).delivery_id, ignored=reason)
        first, *_ = [self._heard(name, verdict) for name, verdict in named.items()]
        return first

    def _verdict(self, hook: GitHook, raw: bytes) -> Verdict:
        return read_push(
            dict(request.headers.items()),
            raw,
            hook.secrets,
            hook.forge,
            now=self._context.clock.now(),
            allow_sha1=hook.allow_sha1,
        )

    def _heard(self, source_id: str, verdict: Verdict) -> Response:
        match verdict:
            case Rejected():
                if source_id in self._context.git_hooks and verdict.status == 401:
                    self._rejections.note(source_id, self._context.clock.now())
            case Ping():
                self._tell(source_id, verdict, ping=True)
            case Push():
                return self._pushed(source_id, verdict)
            case Ignored():
                pass
        return self._answer(verdict)

    def _answer(self, verdict: Verdict) -> Response:
        match verdict:
            case Rejected():
                note_verdict("unknown", verdict.code.lower())
                raise Problem(verdict.status, f"{verdict.code}: {verdict.reason}")
            case Ignored():
                note_verdict(verdict.forge, "ignored")
                return _accepted(verdict.delivery_id, ignored=verdict.reason)
            case _:
                note_verdict(verdict.forge, "pong")
                return json_answer({"pong": True})

    def _pushed(self, source_id: str, push: Push) -> Response:
        with self._context.database.read() as connection:
            row = queries.source(connection, source_id)
            seen = bool(push.delivery_id) and queries.delivery_seen(
                connection, source_id, push.delivery_id
            )
        if seen:
            return self._again(push)
        if row is not None:
            reason = ignored_reason(push, row["ref_kind"], row["ref"], row["observed_ref"])
            if reason is not None:
                note_verdict(push.forge, "ignored")
                return _accepted(push.delivery_id, ignored=reason)
        answer = self._tell(source_id, push, after=push.after)
        if isinstance(answer, dict) and answer.get("duplicate"):
            return self._again(push)
        note_verdict(push.forge, "queued")
        return _accepted(push.delivery_id, queued=True)

    def _again(self, push: Push) -> Response:
        note_verdict(push.forge, "duplicate")
        return _accepted(push.delivery_id, duplicate=True)

    def _tell(self, source_id: str, verdict: Push | Ping, **more: Any) -> Any:
        return self._context.client.call(
            "git.hint",
            source=source_id,
            delivery_id=verdict.delivery_id or None,
            forge=verdict.forge,
            event=verdict.event if isinstance(verdict, Push) else "ping",
            **more,
        )


class Rejections:
    """Tells core of bad signatures: the first three of an hour one by one, then one a minute.

    So who floods an address with rubbish makes no work for core.
    """

    def __init__(self, client: Core) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._noted: dict[str, tuple[int, int, datetime]] = {}

    def note(self, source_id: str, now: datetime) -> None:
        """A delivery for a source was rejected."""
        with self._lock:
            count = self._due(source_id, now)
        if count:
            self._client.call("git.rejected", source=source_id, count=count)

    def _due(self, source_id: str, now: datetime) -> int:
        """How many to tell of now."""
        times, untold, last = self._noted.get(source_id, (0, 0, now))
        if now - last >= FORGOTTEN_AFTER:
            times, untold = 0, 0
        if times < TOLD_AT_ONCE or now - last >= TOLD_EVERY:
            self._noted[source_id] = (times + 1, 0, now)
            return untold + 1
        self._noted[source_id] = (times, untold + 1, last)
        return 0


def blueprint(context: WebContext) -> Blueprint:
    """The two addresses that forges call."""
    return routing.blueprint("git_webhooks", "/git", WebhookRoutes(context))


def _concerns(verdict: Verdict, hook: GitHook) -> bool:
    """Whether the delivery is of the hook's repository, or does not say of which it is."""
    addresses = verdict.addresses if isinstance(verdict, Push) else ()
    return not addresses or not hook.url or same_place(hook.url, addresses)


def _accepted(delivery_id: str, **more: Any) -> Response:
    return json_answer({"delivery": delivery_id, **more}, HTTPStatus.ACCEPTED)


def _raw_body() -> bytes:
    """The body as it came; a larger one than any forge sends is not read, however it is sent."""
    if (request.content_length or 0) > LARGEST_BODY:
        raise Problem(413, "the body is larger than 26 MiB")
    # One byte more than is allowed tells a body that is too large.
    request.max_content_length = LARGEST_BODY + 1
    return request.get_data(cache=False, parse_form_data=False)
