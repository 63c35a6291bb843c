from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from penstock_server.sync.signatures import hex_digest, standard
from penstock_server.sync.webhooks import (
    Ignored,
    Ping,
    Push,
    Rejected,
    ignored_reason,
    read_push,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "s3cret"
BODY = b'{"ref": "refs/heads/main", "before": "aaa", "after": "bbb", "more": 1}'


def github(body: bytes = BODY, secret: str = SECRET, event: str = "push") -> dict[str, str]:
    return {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": "d-1",
        "X-Hub-Signature-256": "sha256=" + hex_digest(secret, body),
    }


def gitlab(moment: datetime, body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    stamp = str(int(moment.timestamp()))
    signed = b"w-1." + stamp.encode() + b"." + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return {
        "X-Gitlab-Event": "Push Hook",
        "webhook-id": "w-1",
        "webhook-timestamp": stamp,
        "webhook-signature": "v1,AAAA v1," + base64.b64encode(digest).decode(),
    }


def test_the_published_vector_of_github_holds() -> None:
    digest = hex_digest("It's a Secret to Everybody", b"Hello, World!")
    assert digest == "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def test_the_published_vector_of_standard_webhooks_holds() -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    sent = datetime.fromtimestamp(1614265330, UTC)
    assert standard(headers, [key], b'{"test": 2432232314}', sent)
    assert not standard(headers, [key], b'{"test":2432232314}', sent)


def test_a_github_push_is_read() -> None:
    assert read_push(github(), BODY, [SECRET], now=NOW) == Push(
        forge="github",
        event="push",
        delivery_id="d-1",
        ref="refs/heads/main",
        before="aaa",
        after="bbb",
    )


def test_rotated_secrets_both_count() -> None:
    assert isinstance(read_push(github(), BODY, ["new", SECRET], now=NOW), Push)


@pytest.mark.parametrize(
    ("headers", "body", "secrets"),
    [
        pytest.param(github(secret="other"), BODY, [SECRET], id="wrong secret"),
        pytest.param(github(), BODY.replace(b"main", b"mail"), [SECRET], id="body changed"),
        pytest.param(github(), BODY.replace(b": ", b":"), [SECRET], id="body written anew"),
        pytest.param({"X-GitHub-Event": "push"}, BODY, [SECRET], id="no signature"),
        pytest.param(github(), BODY, [], id="no secret configured"),
        pytest.param(github(secret=""), BODY, [""], id="empty secret"),
        pytest.param(
            {
                "X-GitHub-Event": "push",
                "X-Hub-Signature": "sha1=" + hex_digest(SECRET, BODY, "sha1"),
            },
            BODY,
            [SECRET],
            id="sha1",
        ),
        pytest.param(
            {"X-Gitea-Signature": hex_digest(SECRET, BODY)}, BODY, [SECRET], id="no event header"
        ),
        pytest.param(
            {
                "X-Forgejo-Event": "push",
                "X-Forgejo-Signature": "0" * 64,
                "X-Gitea-Signature": hex_digest(SECRET, BODY),
            },
            BODY,
            [SECRET],
            id="Forgejo's own signature counts alone",
        ),
    ],
)
def test_what_is_not_genuine_is_refused(
    headers: dict[str, str], body: bytes, secrets: list[str]
) -> None:
    verdict = read_push(headers, body, secrets, now=NOW)
    assert isinstance(verdict, Rejected)
    assert (verdict.status, verdict.code) == (401, "BAD_SIGNATURE")


def test_sha1_is_taken_only_where_it_is_allowed() -> None:
    headers = {
        "X-GitHub-Event": "push",
        "X-Hub-Signature": "sha1=" + hex_digest(SECRET, BODY, "sha1"),
    }
    assert isinstance(read_push(headers, BODY, [SECRET], now=NOW, allow_sha1=True), Push)


def test_gitlab_signs_with_a_time_that_must_be_near() -> None:
    fresh = read_push(gitlab(NOW), BODY, [SECRET], now=NOW)
    assert isinstance(fresh, Push)
    assert fresh.delivery_id == "w-1"
    for away in (-600, 600):
        verdict = read_push(gitlab(NOW + timedelta(seconds=away)), BODY, [SECRET], now=NOW)
        assert isinstance(verdict, Rejected)
        assert verdict.code == "STALE"


def test_an_old_gitlab_sends_the_secret_but_never_beside_a_signature() -> None:
    old = {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": SECRET, "X-Gitlab-Event-UUID": "u"}
    assert isinstance(read_push(old, BODY, [SECRET], now=NOW), Push)
    both = {**old, **gitlab(NOW, secret="other")}
    assert isinstance(read_push(both, BODY, [SECRET], now=NOW), Rejected)


@pytest.mark.parametrize("forge", ["gitea", "forgejo"])
def test_gitea_and_forgejo_are_known_by_their_own_headers(forge: str) -> None:
    headers = {
        "X-GitHub-Event": "push",
        "X-Gitea-Event": "push",
        "X-Gitea-Delivery": "g-1",
        "X-Gitea-Signature": hex_digest(SECRET, BODY),
    }
    if forge == "forgejo":
        headers |= {
            "X-Forgejo-Event": "push",
            "X-Forgejo-Delivery": "f-1",
            "X-Forgejo-Signature": hex_digest(SECRET, BODY),
        }
    push = read_push(headers, BODY, [SECRET], now=NOW)
    assert isinstance(push, Push)
    assert (push.forge, push.delivery_id) == (forge, "f-1" if forge == "forgejo" else "g-1")


def test_a_generic_sender_signs_the_body() -> None:
    headers = {"X-Signature-256": "sha256=" + hex_digest(SECRET, b"{}"), "X-Delivery-Id": "1"}
    push = read_push(headers, b"{}", [SECRET], now=NOW)
    assert push == Push(forge="generic", event="push", delivery_id="1")


def test_a_form_holds_the_payload_in_a_field() -> None:
    body = urlencode({"payload": BODY.decode()}).encode()
    headers = {**github(body), "Content-Type": "application/x-www-form-urlencoded"}
    push = read_push(headers, body, [SECRET], now=NOW)
    assert isinstance(push, Push)
    assert push.ref == "refs/heads/main"


def test_pings_and_other_events_are_told_apart() -> None:
    assert read_push(github(event="ping"), BODY, [SECRET], now=NOW) == Ping(
        forge="github", delivery_id="d-1"
    )
    other = read_push(github(event="issues"), BODY, [SECRET], now=NOW)
    assert isinstance(other, Ignored)
    assert "issues" in other.reason


def test_a_body_that_is_too_large_or_no_json_is_refused() -> None:
    large = b"x" * (26 * 1024 * 1024 + 1)
    verdict = read_push(github(large), large, [SECRET], now=NOW)
    assert isinstance(verdict, Rejected)
    assert verdict.status == 413
    verdict = read_push(github(b"no"), b"no", [SECRET], now=NOW)
    assert isinstance(verdict, Rejected)
    assert verdict.status == 415


def test_a_push_of_another_branch_is_ignored() -> None:
    push = Push(forge="github", event="push", delivery_id="", ref="refs/heads/topic")
    assert ignored_reason(push, "branch", "topic", None) is None
    assert "main" in (ignored_reason(push, "branch", "main", None) or "")
    assert ignored_reason(push, "branch", "HEAD", "refs/heads/topic") is None
    assert ignored_reason(push, "branch", "HEAD", None) is None
    assert ignored_reason(push, "tag", "v*", None) is not None
