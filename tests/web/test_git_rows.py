from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from penstock_server.store.sources import GitSource
from penstock_server.web import formats, gits

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def row(**more: Any) -> gits.SourceRow:
    plain: dict[str, Any] = {
        "id": "main",
        "url": "https://git.example.org/acme/flows.git",
        "ref_kind": "branch",
        "ref": "main",
        "config": {},
        "config_digest": "",
        "origin": "config",
        "updated_at": NOON,
        "observed_at": NOON,
        "status": "Synced",
    }
    return gits.source_row(GitSource(**{**plain, **more}), 3, {})


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({}, "SYNCED"),
        ({"status": "Suspended", "enabled": False}, "OFF"),
        ({"status": "Suspended", "pinned_commit": "a" * 40}, "SUSPENDED"),
        ({"status": "Unknown", "observed_at": None}, "UNKNOWN"),
        ({"status": "Unknown", "observed_at": None, "failures": 2}, "UNREACHED"),
    ],
)
def test_what_is_switched_off_pinned_or_not_reached_is_told_apart(
    more: dict[str, Any], state: str
) -> None:
    assert row(**more).state == state


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({}, "none"),
        ({"config": {"webhook": {"secretSecret": "HOOK"}}}, "not heard yet"),
        ({"conditions": [{"code": "WEBHOOK_REJECTED", "message": "bad"}]}, "rejected"),
        ({"conditions": [{"code": "WEBHOOK_SILENT", "message": "still"}]}, "silent"),
    ],
)
def test_how_a_webhook_does_is_told_in_a_word(more: dict[str, Any], word: str) -> None:
    assert row(**more).webhook == word


def test_commits_that_wait_and_deploys_are_named() -> None:
    assert row(status="OutOfSync").told == "nothing applied yet"
    applied = {"applied_commit": "a" * 40}
    assert row(status="OutOfSync", behind=2, **applied).told == "3 flows, 2 commits not applied"
    assert row().place == "git.example.org/acme/flows.git, main"
    assert row(origin="deploy", url="deploy:ci").place == "deployed"


def test_an_address_at_the_beginning_of_a_sentence_stays_as_it_is() -> None:
    assert formats.sentence("http://x/y cannot be reached") == "http://x/y cannot be reached"
    assert formats.sentence("pinned to 311b220") == "Pinned to 311b220"
