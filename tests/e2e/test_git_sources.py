"""Sources of a running service come and go: by the API, at the command line and by SIGHUP."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.cli.command import Ended, log_flow, penstock
from tests.git_http import GitServer, Repository, serve_git
from tests.live import Service, live_service, wait_for

pytestmark = pytest.mark.e2e
API = "/api/v1/main/git"
STAYS = "the Git sources stay as they were"
SECRET = base64.b64encode(b"hook-s3cret").decode()


@dataclass(frozen=True)
class Place:
    service: Service
    repository: Repository
    server: GitServer
    settings: Path

    @property
    def url(self) -> str:
        return self.server.url_of(self.repository)

    def git(self, *arguments: object) -> Ended:
        return penstock("git", *arguments, PENSTOCK_SERVER=self.service.url, NO_COLOR="1")

    def configure(self, *sources: dict[str, Any], **more: Any) -> None:
        self.settings.write_text(json.dumps({"git": {"sources": sources, **more}}))

    def hang_up(self) -> None:
        assert self.service.process is not None
        os.kill(self.service.process.pid, signal.SIGHUP)

    def status(self, source_id: str) -> str:
        answer = self.service.get(f"{API}/sources/{source_id}")
        return str(answer.json().get("status")) if answer.is_success else "absent"

    def audit(self) -> list[tuple[str, str]]:
        found = self.service.get(f"{API}/audit", params={"size": 100}).json()["results"]
        return [(one["action"], one["subject"]) for one in reversed(found)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "served").mkdir()
    repository = Repository(tmp_path / "served" / "flows.git")
    repository.commit({"a.yml": log_flow("a"), "b.yml": log_flow("b")}, "first")
    settings = tmp_path / "penstock.yaml"
    settings.write_text(json.dumps({"git": {"hosts": ["127.0.0.1"]}}))
    with serve_git(tmp_path / "served") as server:
        environment = {"PENSTOCK_CONFIG": str(settings), "SECRET_HOOK": SECRET}
        options = ("--log-format", "json")
        with live_service(tmp_path, options=options, environment=environment) as service:
            yield Place(service, repository, server, settings)


def test_a_source_is_added_heard_changed_and_removed_while_the_service_runs(place: Place) -> None:
    added = place.git("add", "flows", place.url, "--interval", "3600", "--webhook-secret", "HOOK")
    assert added.code == 0, added
    wait_for(lambda: place.status("flows"), lambda status: status == "Synced")
    listed = place.git("list")
    assert listed.out.splitlines()[1].split()[:3] == ["flows", "Synced", "API"]

    place.repository.commit({"a.yml": log_flow("a", "changed")}, "second")
    differs = place.git("diff", "flows", "--exit-code")
    assert (differs.code, "+    message: changed" in differs.out) == (10, True)
    tried = place.git("webhook", "test", "flows", "--forge", "github")
    assert (tried.code, "202, the source is looked at" in tried.out) == (0, True), tried
    wait_for(lambda: place.git("diff", "flows").out, lambda out: out == "")

    other = place.git("add", "flows", place.url, "--path", "/", "--interval", "PT2H")
    assert "has other settings" in other.out
    assert place.git("webhook", "test", "flows").code == 5
    removed = place.git("remove", "flows")
    assert removed.out == "flows is removed: 0 deleted, 2 kept\n"
    assert place.status("flows") == "absent"
    assert place.audit() == [
        ("source.added", "flows"),
        ("source.changed", "flows"),
        ("source.removed", "flows"),
    ]


def test_what_cannot_be_a_source_is_refused_and_secrets_are_never_shown(place: Place) -> None:
    path = f"{API}/sources/flows"
    bad = place.service.request("PUT", path, json={"url": place.url, "intervall": 1})
    assert bad.status_code == 422, bad.text
    assert [one["path"] for one in bad.json()["_embedded"]["errors"]] == ["intervall"]
    literal = {"url": place.url, "auth": {"token": "t0p-s3cret"}}
    refused = place.service.request("PUT", path, json=literal)
    assert (refused.status_code, "encryptionKey" in refused.text) == (422, True)
    named = {"url": place.url, "auth": {"tokenSecret": "HOOK"}}
    made = place.service.request("PUT", path, json=named)
    assert (made.status_code, made.json()["origin"]) == (201, "api")
    assert place.service.get(path).json()["settings"] == {"id": "flows"}
    shown = place.service.get(path).text
    assert not any(word in shown + made.text for word in ("auth", "HOOK", "hook-s3cret"))


def test_a_hangup_has_the_sources_of_the_configuration_read_again(place: Place) -> None:
    place.configure({"id": "main", "url": place.url, "interval": 3600})
    place.hang_up()
    wait_for(lambda: place.status("main"), lambda status: status == "Synced")
    refused = place.git("add", "main", place.url)
    assert (refused.code, "is in the configuration" in refused.err) == (5, True)

    for number, bad in enumerate((b"git: {sources: [{id: Bad}]}", b"git: \xff", b"git: ["), 1):
        place.settings.write_bytes(bad)
        place.hang_up()
        wait_for(place.service.said, lambda said, n=number: said.count(STAYS) >= n)
    assert place.status("main") == "Synced"

    place.configure()
    place.hang_up()
    wait_for(lambda: place.status("main"), lambda status: status == "Suspended")
    assert place.git("remove", "main", "--prune").code == 0
    assert place.audit()[:2] == [("source.added", "main"), ("source.removed", "main")]


def test_a_source_of_the_api_may_not_reach_into_private_networks(place: Place) -> None:
    place.configure()
    place.hang_up()
    wait_for(place.service.said, lambda said: "git.configured" in said)
    place.git("add", "inside", place.url)
    told = place.git("sync", "inside")
    assert (told.code, "private network" in told.err) == (3, True), told


def test_looks_and_applies_are_counted_and_told_as_lines_of_json(place: Place) -> None:
    place.git("add", "flows", place.url)
    wait_for(lambda: place.status("flows"), lambda status: status == "Synced")
    told = place.service.get("/metrics").text.splitlines()
    assert 'penstock_git_polls_total{result="found",source="flows"} 1.0' in told
    assert "penstock_git_apply_seconds_count 1.0" in told
    lines = [json.loads(one) for one in place.service.said().splitlines() if one[:1] == "{"]
    events = {one["event"]: one for one in lines if "event" in one}
    assert events["git.fetched"]["files"] == 2
    applied = events["git.applied"]
    assert (applied["source"], applied["level"], len(applied["commit"])) == ("flows", "INFO", 40)
    assert {"at", "run", "message", "logger"} <= applied.keys()
