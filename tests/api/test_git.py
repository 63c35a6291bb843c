from __future__ import annotations

import hmac
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.api.building import NOON, Web, build

from penstock_server.api.context import GitHook
from penstock_server.store import schema

URL = "https://git.example.org/acme/flows.git"
PUSH = {"ref": "refs/heads/main", "before": "0" * 40, "after": "a" * 40}


@pytest.fixture
def hooked(tmp_path: Path) -> Iterator[Web]:
    web = build(tmp_path, git_hooks={"flows": GitHook(secrets=("s3cret",), url=URL)})
    row = {
        "id": "flows",
        "url": URL,
        "ref_kind": "branch",
        "ref": "main",
        "path": "",
        "config": {"auth": {"token": "hidden"}},
        "config_digest": "x",
        "origin": "config",
        "enabled": True,
        "observed_commit": "a" * 40,
        "observed_at": NOON,
        "failures": 0,
        "status": "Synced",
        "updated_at": NOON,
    }
    with web.database.begin() as tx:
        tx.connection.execute(schema.git_sources.insert(), [row])
    yield web
    web.database.close()


def deliver(
    web: Web, path: str, payload: Any, secret: str = "s3cret", **headers: str
) -> tuple[int, Any]:
    raw = orjson.dumps(payload)
    given = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": "d1",
        "X-Hub-Signature-256": "sha256=" + hmac.digest(secret.encode(), raw, "sha256").hex(),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    answer = web.client.post(f"/api/v1/git/{path}", data=raw, headers=given)
    return answer.status_code, answer.json


def test_a_source_is_shown_without_its_settings(hooked: Web) -> None:
    [shown] = hooked.client.get("/api/v1/git/sources").json
    assert shown["observedCommit"] == "a" * 40
    assert shown["observedAt"] == "2026-01-31T12:00:00Z"
    assert "config" not in shown
    assert hooked.client.get("/api/v1/main/git/sources/flows").json == shown
    assert hooked.client.get("/api/v1/git/sources/other").status_code == 404
    assert "Synced" in hooked.client.get("/api/v1/git/sources/flows/badge.svg").text


def test_a_signed_push_is_queued(hooked: Web) -> None:
    status, body = deliver(hooked, "webhooks/flows", PUSH)
    assert (status, body) == (202, {"delivery": "d1", "queued": True})
    [(name, arguments)] = hooked.core.calls
    assert (name, arguments["source"], arguments["forge"]) == ("git.hint", "flows", "github")


def test_a_push_of_the_branch_that_head_meant_last_is_queued(hooked: Web) -> None:
    with hooked.database.begin() as tx:
        tx.connection.execute(
            schema.git_sources.update().values(ref="HEAD", observed_ref="refs/heads/main")
        )
    assert "queued" in deliver(hooked, "webhooks/flows", PUSH)[1]
    other = {**PUSH, "ref": "refs/heads/other"}
    assert "ignored" in deliver(hooked, "webhooks/flows", other, X_GitHub_Delivery="d2")[1]


def test_a_push_of_another_repository_with_the_same_secret_is_ignored(hooked: Web) -> None:
    own = {**PUSH, "repository": {"clone_url": "https://git.example.org/acme/flows"}}
    other = {**PUSH, "repository": {"clone_url": "https://git.example.org/acme/other"}}
    status, body = deliver(hooked, "webhook", other)
    assert (status, "no source reads" in body["ignored"]) == (202, True)
    assert hooked.core.calls == []
    assert deliver(hooked, "webhook", own)[1] == {"delivery": "d1", "queued": True}


def test_bad_signatures_are_told_to_core_three_times_and_then_once_a_minute(hooked: Web) -> None:
    for _ in range(10):
        deliver(hooked, "webhooks/flows", PUSH, secret="wrong")
        deliver(hooked, "webhooks/unknown", PUSH)
        deliver(hooked, "webhook", PUSH, secret="wrong")
    assert hooked.core.calls == [("git.rejected", {"source": "flows", "count": 1})] * 3
    hooked.clock.forward(minutes=1)
    deliver(hooked, "webhooks/flows", PUSH, secret="wrong")
    assert hooked.core.calls[3:] == [("git.rejected", {"source": "flows", "count": 8})]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_27_mib_is_refused_however_it_is_sent(hooked: Web, chunked: bool) -> None:
    size = 27 * 1024 * 1024
    length = {} if chunked else {"CONTENT_LENGTH": str(size)}
    answer = hooked.client.post(
        "/api/v1/git/webhooks/flows",
        input_stream=io.BytesIO(b"x" * size),
        headers={"Transfer-Encoding": "chunked"} if chunked else {},
        environ_overrides={"wsgi.input_terminated": True, **length},
    )
    assert answer.status_code == 413


def test_the_source_is_found_by_its_signature(hooked: Web) -> None:
    assert deliver(hooked, "webhook", PUSH)[0] == 202
    assert deliver(hooked, "webhook", PUSH, secret="other")[0] == 401


def test_a_push_elsewhere_asks_nothing_of_core(hooked: Web) -> None:
    status, body = deliver(hooked, "webhooks/flows", {**PUSH, "ref": "refs/heads/other"})
    assert status == 202
    assert "refs/heads/other was pushed" in body["ignored"]
    assert hooked.core.calls == []


def test_a_ping_is_answered_and_told(hooked: Web) -> None:
    assert deliver(hooked, "webhooks/flows", {}, X_GitHub_Event="ping") == (200, {"pong": True})
    [(name, arguments)] = hooked.core.calls
    assert (name, arguments["ping"], arguments["delivery_id"]) == ("git.hint", True, "d1")


def test_a_delivery_that_came_before_is_a_duplicate(hooked: Web) -> None:
    row = {
        "source_id": "flows",
        "delivery_id": "d1",
        "forge": "github",
        "event": "push",
        "received_at": NOON,
        "verdict": "queued",
    }
    with hooked.database.begin() as tx:
        tx.connection.execute(schema.webhook_deliveries.insert(), [row])
    assert deliver(hooked, "webhooks/flows", PUSH) == (202, {"delivery": "d1", "duplicate": True})


def test_a_wrong_signature_and_an_unknown_source_look_the_same(hooked: Web) -> None:
    wrong = deliver(hooked, "webhooks/flows", PUSH, secret="wrong")
    unknown = deliver(hooked, "webhooks/unknown", PUSH)
    assert wrong[0] == unknown[0] == 401
    assert wrong[1]["message"] == unknown[1]["message"]


def test_a_source_is_checked_step_by_step(hooked: Web) -> None:
    checked = hooked.client.post("/api/v1/git/sources/flows/check")
    assert (checked.status_code, checked.json["checks"][0]["name"]) == (200, "dns")
    assert hooked.client.post("/api/v1/git/sources/other/check").status_code == 404


def test_a_sync_waits_only_when_asked(hooked: Web) -> None:
    path = "/api/v1/git/sources/flows/sync"
    assert hooked.client.post(path).status_code == 202
    waited = hooked.client.post(path, json={"wait": True})
    assert (waited.status_code, waited.json) == (200, {"phase": "Succeeded"})
    assert hooked.client.post(path.replace("flows", "other")).status_code == 404
    assert hooked.client.post(path, json=[1]).status_code == 422


def test_runs_are_listed_with_their_items(hooked: Web) -> None:
    run = {
        "id": "r1",
        "source_id": "flows",
        "trigger": "poll",
        "phase": "Succeeded",
        "started_at": NOON,
        "counts": {"created": 1},
        "dry_run": False,
        "history_rewritten": False,
    }
    item = {
        "run_id": "r1",
        "place": 0,
        "kind": "FLOW",
        "namespace": "team",
        "name": "a",
        "action": "create",
    }
    with hooked.database.begin() as tx:
        tx.connection.execute(schema.sync_runs.insert(), [run])
        tx.connection.execute(schema.sync_items.insert(), [item])
    listed = hooked.client.get("/api/v1/git/sources/flows/runs").json
    assert (listed["total"], listed["results"][0]["counts"]) == (1, {"created": 1})
    shown = hooked.client.get("/api/v1/git/runs/r1").json
    assert shown["items"][0]["action"] == "create"
    assert hooked.client.get("/api/v1/git/runs/r2").status_code == 404


def test_a_deploy_brings_files_as_json_or_archive(hooked: Web) -> None:
    path = "/api/v1/git/apply?dryRun=true"
    body = {"source": "ci", "commit": "b" * 40, "files": {"a.yml": "id: a"}}
    assert hooked.client.post(path, json=body).json["saved"] == ["a.yml"]
    assert hooked.core.calls[-1][1]["dry_run"] is True
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name in ("./b.yaml", "readme.md"):
            info = tarfile.TarInfo(name)
            info.size = 5
            packed.addfile(info, io.BytesIO(b"id: b"))
    upload = {"archive": (io.BytesIO(buffer.getvalue()), "flows.tar.gz"), "source": "ci"}
    assert hooked.client.post(path, data=upload).json["saved"] == ["b.yaml"]
    assert hooked.client.post(path, json={"files": [1]}).status_code == 422
    broken = {"archive": (io.BytesIO(b"nothing"), "flows.zip")}
    assert hooked.client.post(path, data=broken).status_code == 422


def test_the_flows_of_a_source_are_listed_with_how_each_stands(hooked: Web) -> None:
    task = {"id": "t", "type": "io.kestra.plugin.core.debug.Return", "format": "x"}
    for name in ("a", "b"):
        flow = {"id": name, "namespace": "team", "tasks": [task]}
        hooked.client.post("/api/v1/flows", json=flow)
    with hooked.database.begin() as tx:
        of_source = schema.flows.update().where(schema.flows.c.id == "a")
        tx.connection.execute(of_source.values(managed_by="flows", drifted=True))
    path = "/api/v1/main/git/sources/flows/flows"
    found = hooked.client.get(path).json
    assert [(one["id"], one["status"]) for one in found["results"]] == [("a", "OutOfSync")]
    assert hooked.client.get(f"{path}?status=InSync").json["total"] == 0
    assert hooked.client.get("/api/v1/git/sources/nobody/flows").status_code == 404
    shown = [hooked.client.get(f"/api/v1/flows/team/{name}").json["gitStatus"] for name in "ab"]
    assert shown == ["OutOfSync", "Unmanaged"]
