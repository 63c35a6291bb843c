"""Deliveries as forges send them, signed by ourselves: to try a webhook from end to end."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from penstock_server.sync.payloads import NOTHING
from penstock_server.sync.signatures import hex_digest, signing_key

FORGES = ("github", "gitlab", "gitea", "forgejo", "bitbucket", "generic")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedDelivery:
    """What a forge would send."""

    headers: Mapping[str, str]
    body: bytes


def signed_delivery(
    forge: str,
    secret: str,
    *,
    identity: str,
    url: str,
    ref: str,
    commit: str | None,
    now: datetime,
) -> SignedDelivery:
    """A push of `ref` as this forge tells it; raises `ValueError` for one that nobody knows."""
    body = orjson.dumps(_payload(forge, url, ref, commit or NOTHING))
    digest = hex_digest(secret, body)
    match forge:
        case "github":
            headers = {
                "X-GitHub-Event": "push",
                "X-GitHub-Delivery": identity,
                "X-Hub-Signature-256": f"sha256={digest}",
            }
        case "gitea" | "forgejo":
            name = forge.capitalize()
            headers = {
                f"X-{name}-Event": "push",
                f"X-{name}-Delivery": identity,
                f"X-{name}-Signature": digest,
            }
        case "bitbucket":
            headers = {
                "X-Event-Key": "repo:push",
                "X-Request-UUID": identity,
                "X-Hub-Signature": f"sha256={digest}",
            }
        case "gitlab":
            headers = {"X-Gitlab-Event": "Push Hook", **_standard(secret, identity, body, now)}
        case "generic":
            headers = _standard(secret, identity, body, now)
        case other:
            raise ValueError(f"{other!r} is no forge; there are {', '.join(FORGES)}")
    return SignedDelivery(headers={"Content-Type": "application/json", **headers}, body=body)


def _standard(secret: str, identity: str, body: bytes, now: datetime) -> dict[str, str]:
    moment = str(int(now.timestamp()))
    signed = b".".join((identity.encode(), moment.encode(), body))
    digest = hmac.new(signing_key(secret), signed, hashlib.sha256).digest()
    return {
        "webhook-id": identity,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _payload(forge: str, url: str, ref: str, commit: str) -> dict[str, Any]:
    if forge == "bitbucket":
        name = ref.removeprefix("refs/heads/")
        new = {"type": "branch", "name": name, "target": {"hash": commit}}
        links = {"html": {"href": url.removesuffix(".git")}}
        return {"push": {"changes": [{"new": new, "old": None}]}, "repository": {"links": links}}
    repository = {"clone_url": url, "git_http_url": url}
    pushed = {"ref": ref, "before": commit, "after": commit}
    return {**pushed, "repository": repository, "project": {"git_http_url": url}}
