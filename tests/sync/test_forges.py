"""One push of every forge, with the headers and the parts of a body that it sends."""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from penstock_server.sync.payloads import NOTHING, place_of, same_place
from penstock_server.sync.webhooks import Ignored, Ping, Push, Rejected, ignored_reason, read_push

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "s3cret"
OLD, NEW = "a" * 40, "b" * 40
MAIN = "refs/heads/main"


@dataclass(frozen=True)
class Sent:
    forge: str
    headers: dict[str, str]
    payload: dict[str, Any]
    delivery_id: str
    before: str | None = OLD
    places: frozenset[str] = frozenset({"git.example.org/acme/flows"})


def hexed(body: bytes, algorithm: str = "sha256") -> str:
    return hmac.new(SECRET.encode(), body, algorithm).hexdigest()


REPOSITORY = {
    "full_name": "acme/flows",
    "html_url": "https://git.example.org/acme/flows",
    "clone_url": "https://git.example.org/acme/flows.git",
    "ssh_url": "git@git.example.org:acme/flows.git",
}
PUSHED = {"ref": MAIN, "before": OLD, "after": NEW, "repository": REPOSITORY}
GITLAB = {
    "object_kind": "push",
    **PUSHED,
    "checkout_sha": NEW,
    "repository": {"name": "flows", "url": "git@git.example.org:acme/flows.git"},
    "project": {
        "web_url": "https://git.example.org/acme/flows",
        "git_http_url": "https://git.example.org/acme/flows.git",
        "git_ssh_url": "git@git.example.org:acme/flows.git",
    },
}
CLOUD = {
    "push": {
        "changes": [
            {
                "new": {"type": "branch", "name": "main", "target": {"hash": NEW}},
                "old": {"type": "branch", "name": "main", "target": {"hash": OLD}},
            }
        ]
    },
    "repository": {"links": {"html": {"href": "https://git.example.org/acme/flows"}}},
}
DATA_CENTER = {
    "eventKey": "repo:refs_changed",
    "changes": [{"ref": {"id": MAIN}, "type": "UPDATE", "fromHash": OLD, "toHash": NEW}],
    "repository": {
        "links": {
            "clone": [
                {"href": "https://git.example.org/scm/acme/flows.git", "name": "http"},
                {"href": "ssh://git@git.example.org:7999/acme/flows.git", "name": "ssh"},
            ]
        }
    },
}


def standard(body: bytes) -> dict[str, str]:
    moment = str(int(NOW.timestamp()))
    digest = hmac.digest(SECRET.encode(), b"w-1." + moment.encode() + b"." + body, "sha256")
    return {
        "webhook-id": "w-1",
        "webhook-timestamp": moment,
        "webhook-signature": "v1,rotated v1," + base64.b64encode(digest).decode(),
    }


def sent(name: str) -> tuple[Sent, bytes]:
    bodies = {"gitlab": GITLAB, "old gitlab": GITLAB, "cloud": CLOUD, "data center": DATA_CENTER}
    payload = bodies.get(name, PUSHED)
    body = orjson.dumps(payload)
    digest = hexed(body)
    github = {"X-GitHub-Event": "push", "X-GitHub-Delivery": "h-1"}
    gitea = {
        **github,
        "X-Gogs-Event": "push",
        "X-Gitea-Event": "push",
        "X-Gitea-Delivery": "g-1",
        "X-Gitea-Signature": digest,
        "X-Hub-Signature-256": f"sha256={digest}",
        "X-Hub-Signature": f"sha1={hexed(body, 'sha1')}",
    }
    headers: dict[str, tuple[str, dict[str, str], str]] = {
        "github": ("github", {**github, "X-Hub-Signature-256": f"sha256={digest}"}, "h-1"),
        "gitea": ("gitea", gitea, "g-1"),
        "forgejo": (
            "forgejo",
            {
                **gitea,
                "X-Forgejo-Event": "push",
                "X-Forgejo-Delivery": "f-1",
                "X-Forgejo-Signature": digest,
            },
            "f-1",
        ),
        "gitlab": (
            "gitlab",
            {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Event-UUID": "u", **standard(body)},
            "w-1",
        ),
        "old gitlab": (
            "gitlab",
            {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": SECRET, "X-Gitlab-Event-UUID": "u-1"},
            "u-1",
        ),
        "cloud": (
            "bitbucket",
            {
                "X-Event-Key": "repo:push",
                "X-Request-UUID": "c-1",
                "X-Hub-Signature": f"sha256={digest}",
            },
            "c-1",
        ),
        "data center": (
            "bitbucket",
            {
                "X-Event-Key": "repo:refs_changed",
                "X-Request-Id": "d-1",
                "X-Hub-Signature": f"sha256={digest}",
            },
            "d-1",
        ),
        "generic": (
            "generic",
            {"X-Delivery-Id": "x-1", "X-Signature-256": f"sha256={digest}"},
            "x-1",
        ),
        "standard": ("generic", standard(body), "w-1"),
    }
    forge, given, delivery = headers[name]
    return Sent(forge=forge, headers=given, payload=payload, delivery_id=delivery), body


EVERY = (
    "github",
    "gitea",
    "forgejo",
    "gitlab",
    "old gitlab",
    "cloud",
    "data center",
    "generic",
    "standard",
)


@pytest.mark.parametrize("name", EVERY)
def test_a_push_of_every_forge_is_understood(name: str) -> None:
    one, body = sent(name)
    push = read_push(one.headers, body, ["new", SECRET], now=NOW)
    assert isinstance(push, Push)
    assert (push.forge, push.delivery_id) == (one.forge, one.delivery_id)
    assert (push.ref, push.before, push.after) == (MAIN, OLD, NEW)
    assert {place_of(address) for address in push.addresses} == one.places


@pytest.mark.parametrize("name", EVERY)
def test_one_bit_of_the_body_or_another_secret_spoils_the_delivery(name: str) -> None:
    one, body = sent(name)
    flipped = bytes([*body[:-2], body[-2] ^ 1, body[-1]])
    wrong = read_push(one.headers, body, ["other"], now=NOW)
    assert isinstance(wrong, Rejected)
    assert wrong.status == 401
    if name != "old gitlab":  # which signs nothing
        assert isinstance(read_push(one.headers, flipped, [SECRET], now=NOW), Rejected)


def test_forgejo_and_gitea_headers_that_disagree_prove_nothing() -> None:
    one, body = sent("forgejo")
    one.headers["X-Forgejo-Signature"] = "0" * 64
    assert isinstance(read_push(one.headers, body, [SECRET], now=NOW), Rejected)


def test_names_of_headers_and_hex_digits_may_be_in_capitals() -> None:
    one, body = sent("github")
    headers = {name.upper(): value for name, value in one.headers.items()}
    headers["X-HUB-SIGNATURE-256"] = "sha256=" + hexed(body).upper()
    assert isinstance(read_push(headers, body, [SECRET], now=NOW), Push)


def test_a_signature_of_text_that_is_not_ascii_is_only_wrong() -> None:
    one, body = sent("github")
    one.headers["X-Hub-Signature-256"] = "sha256=\xe9\xe9"
    assert isinstance(read_push(one.headers, body, [SECRET], now=NOW), Rejected)


def changed(
    payload: dict[str, Any], event: str, **headers: str
) -> Push | Ping | Ignored | Rejected:
    body = orjson.dumps(payload)
    given = {"X-Hub-Signature": f"sha256={hexed(body)}"} if event.startswith("repo:") else {}
    name = "X-Event-Key" if given else "X-GitHub-Event"
    github = {"X-Hub-Signature-256": f"sha256={hexed(body)}"}
    return read_push({name: event, **github, **given, **headers}, body, [SECRET], now=NOW)


@pytest.mark.parametrize(
    ("payload", "event", "ref"),
    [
        ({**PUSHED, "after": NOTHING}, "push", MAIN),
        ({"ref": "topic", "ref_type": "branch"}, "delete", "refs/heads/topic"),
        ({"ref": "v1", "ref_type": "tag"}, "delete", "refs/tags/v1"),
        (
            {"push": {"changes": [{"new": None, "old": {"type": "branch", "name": "main"}}]}},
            "repo:push",
            MAIN,
        ),
        ({"changes": [{"ref": {"id": MAIN}, "type": "DELETE"}]}, "repo:refs_changed", MAIN),
    ],
)
def test_a_ref_that_is_gone_is_told(payload: dict[str, Any], event: str, ref: str) -> None:
    push = changed(payload, event)
    assert isinstance(push, Push)
    assert (push.ref, push.deleted) == (ref, True)


def test_a_new_branch_and_a_new_tag_are_told() -> None:
    branch = changed({"ref": "topic", "ref_type": "branch"}, "create")
    tag = changed({"push": {"changes": [{"new": {"type": "tag", "name": "v2"}}]}}, "repo:push")
    assert isinstance(branch, Push)
    assert isinstance(tag, Push)
    assert (branch.ref, tag.ref) == ("refs/heads/topic", "refs/tags/v2")


def test_several_changes_at_once_concern_every_branch() -> None:
    change = {"new": {"type": "branch", "name": "topic", "target": {"hash": NEW}}}
    push = changed({"push": {"changes": [change, change]}}, "repo:push")
    assert isinstance(push, Push)
    assert push.ref is None
    assert ignored_reason(push, "branch", "main", None) is None


@pytest.mark.parametrize("event", ["pull_request", "issues", "pullrequest:created", "pr:opened"])
def test_other_events_are_answered_and_change_nothing(event: str) -> None:
    name = "X-Event-Key" if ":" in event else "X-GitHub-Event"
    given = {
        name: event,
        "X-Hub-Signature": f"sha256={hexed(b'{}')}",
        "X-Hub-Signature-256": f"sha256={hexed(b'{}')}",
    }
    assert isinstance(read_push(given, b"{}", [SECRET], now=NOW), Ignored)


def test_a_test_of_bitbucket_data_center_is_a_ping() -> None:
    given = {"X-Event-Key": "diagnostics:ping", "X-Hub-Signature": f"sha256={hexed(b'{}')}"}
    assert isinstance(read_push(given, b"{}", [SECRET], now=NOW), Ping)


def test_a_tag_concerns_a_source_that_follows_tags_like_it() -> None:
    push = Push(forge="github", event="push", delivery_id="", ref="refs/tags/v1.2")
    assert ignored_reason(push, "tag", "v*", None) is None
    assert ignored_reason(push, "tag", "v1.2", None) is None
    assert "v2" in (ignored_reason(push, "tag", "v2*", None) or "")
    assert ignored_reason(push, "branch", "main", None) is not None


@pytest.mark.parametrize(
    "address",
    [
        "https://Git.Example.org/acme/flows.git",
        "https://git.example.org:8443/acme/flows/",
        "git@git.example.org:acme/flows.git",
        "ssh://git@git.example.org:7999/acme/flows.git",
        "https://git.example.org/scm/acme/flows.git",
        "https://bot@git.example.org/acme/flows",
    ],
)
def test_one_repository_has_many_addresses(address: str) -> None:
    assert same_place(address, ("https://git.example.org/acme/flows",))
    assert not same_place(address, ("https://git.example.org/acme/flows2",))
    assert not same_place(address, ("https://example.org/acme/flows",))
