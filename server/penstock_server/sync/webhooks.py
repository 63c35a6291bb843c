"""Reading push webhooks of the forges: pure, from headers and raw bytes to a verdict.

The signature is checked on the bytes as they came, before anything is parsed. What a payload says
only tells whether to look and why: the commit itself comes from our own fetch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from penstock_runner.git.names import Patterns
from penstock_server.sync.payloads import NOTHING, payload_of, said
from penstock_server.sync.signatures import Headers, Stale, any_equal, prefixed, standard

LARGEST_BODY = 26 * 1024 * 1024
TAGS = "refs/tags/"
_PUSHES = frozenset(
    {"push", "create", "delete", "push hook", "tag push hook", "repo:push", "repo:refs_changed"}
)
_PINGS = frozenset({"ping", "diagnostics:ping"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Something was pushed; `ref` is the full name when the payload says one.

    `addresses` are those of the repository, as its forge spells them.
    """

    forge: str
    event: str
    delivery_id: str
    ref: str | None = None
    before: str | None = None
    after: str | None = None
    addresses: tuple[str, ...] = ()

    @property
    def deleted(self) -> bool:
        """Whether the ref is gone."""
        return self.after == NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """The forge tries whether the address works."""

    forge: str
    delivery_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A genuine delivery that changes nothing here."""

    forge: str
    event: str
    delivery_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Not genuine, or not readable: `status` is what to answer."""

    status: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Forge:
    name: str
    event_header: str
    delivery_headers: tuple[str, ...]


_FORGES = (
    _Forge(
        name="forgejo",
        event_header="x-forgejo-event",
        delivery_headers=("x-forgejo-delivery", "x-gitea-delivery"),
    ),
    _Forge(name="gitea", event_header="x-gitea-event", delivery_headers=("x-gitea-delivery",)),
    _Forge(
        name="gitlab",
        event_header="x-gitlab-event",
        delivery_headers=("webhook-id", "idempotency-key", "x-gitlab-event-uuid"),
    ),
    _Forge(name="github", event_header="x-github-event", delivery_headers=("x-github-delivery",)),
    _Forge(
        name="bitbucket",
        event_header="x-event-key",
        delivery_headers=("x-request-uuid", "x-request-id"),
    ),
    _Forge(name="generic", event_header="", delivery_headers=("webhook-id", "x-delivery-id")),
)

FORGE_NAMES = frozenset(one.name for one in _FORGES)


def read_push(
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[str],
    forge: str = "auto",
    *,
    now: datetime,
    allow_sha1: bool = False,
) -> Push | Ping | Ignored | Rejected:
    """Verify a delivery with any of the secrets, and read what it says."""
    if len(body) > LARGEST_BODY:
        return Rejected(status=413, code="TOO_LARGE", reason="the body is larger than 26 MiB")
    given = {name.lower(): value for name, value in headers.items()}
    sender = _sender(given, forge)
    usable = [secret for secret in secrets if secret]
    try:
        proven = genuine(sender.name, given, body, usable, now, allow_sha1=allow_sha1)
    except Stale as stale:
        return Rejected(status=401, code="STALE", reason=str(stale))
    if not usable or not proven:
        return Rejected(
            status=401, code="BAD_SIGNATURE", reason="the signature is missing or wrong"
        )
    return _read(sender, given, body)


def ignored_reason(push: Push, ref_kind: str, ref: str, observed_ref: str | None) -> str | None:
    """Why a push does not concern a source; None when it does (or when that is unknown)."""
    if push.ref is None or ref_kind == "commit":
        return "the source follows one commit" if ref_kind == "commit" else None
    if ref_kind == "tag":
        if not push.ref.startswith(TAGS):
            return f"the source follows tags, and {push.ref} was pushed"
        if Patterns([ref]).match(push.ref.removeprefix(TAGS)):
            return None
        return f"the source follows tags like {ref}, and {push.ref} was pushed"
    followed = observed_ref if ref == "HEAD" else f"refs/heads/{ref.removeprefix('refs/heads/')}"
    if followed is None or followed == push.ref:
        return None
    return f"the source follows {followed}, and {push.ref} was pushed"


def _sender(headers: Headers, forge: str) -> _Forge:
    if forge != "auto":
        return next((one for one in _FORGES if one.name == forge), _FORGES[-1])
    # Forgejo also sends Gitea's names, and Gitea GitHub's: the first that fits is the sender.
    return next((one for one in _FORGES if one.event_header in headers), _FORGES[-1])


def genuine(
    forge: str,
    headers: Headers,
    body: bytes,
    secrets: Sequence[str],
    now: datetime,
    *,
    allow_sha1: bool,
) -> bool:
    """Whether a delivery bears the signature of a forge; header names are in lower case."""
    match forge:
        case "forgejo" if "x-forgejo-signature" in headers:
            return prefixed(headers, "x-forgejo-signature", "", secrets, body)
        case "forgejo" | "gitea":
            return prefixed(headers, "x-gitea-signature", "", secrets, body)
        case "gitlab":
            if "webhook-signature" in headers:
                return standard(headers, secrets, body, now)
            return any_equal(headers.get("x-gitlab-token", ""), secrets)
        case "github":
            if "x-hub-signature-256" not in headers and allow_sha1:
                return prefixed(headers, "x-hub-signature", "sha1=", secrets, body)
            return prefixed(headers, "x-hub-signature-256", "sha256=", secrets, body)
        case "bitbucket":
            return prefixed(headers, "x-hub-signature", "sha256=", secrets, body)
        case _:
            if "webhook-signature" in headers:
                return standard(headers, secrets, body, now)
            return prefixed(headers, "x-signature-256", "sha256=", secrets, body)


def _read(forge: _Forge, headers: Headers, body: bytes) -> Push | Ping | Ignored | Rejected:
    delivery = next((headers[name] for name in forge.delivery_headers if headers.get(name)), "")
    delivery = delivery[:100]
    event = headers.get(forge.event_header, "push") if forge.event_header else "push"
    event = event[:50]
    kind = event.lower()
    if kind in _PINGS:
        return Ping(forge=forge.name, delivery_id=delivery)
    if kind not in _PUSHES:
        return Ignored(
            forge=forge.name,
            event=event,
            delivery_id=delivery,
            reason=f"event {event!r} changes no branch",
        )
    # A generic sender need say nothing at all.
    bare = forge.name == "generic" and not body.strip()
    payload = {} if bare else payload_of(headers, body)
    if payload is None:
        return Rejected(status=415, code="BAD_BODY", reason="the body is no JSON object")
    told = said(event, payload)
    return Push(
        forge=forge.name,
        event=event,
        delivery_id=delivery,
        ref=told.ref,
        before=told.before,
        after=told.after,
        addresses=told.addresses,
    )
