from __future__ import annotations

import hmac
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from tests.api.building import NOON, Web, build

from penstock_server.api.context import GitHook
from penstock_server.store import sources


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    made = build(tmp_path, git_hooks={"flows": GitHook(secrets=("s3cret",))})
    source = sources.GitSource(
        id="flows",
        url="https://git.example.org/acme/flows.git",
        ref_kind="branch",
        ref="main",
        config={},
        config_digest="",
        origin="config",
        observed_at=NOON,
        status="Synced",
        updated_at=NOON,
    )
    with made.database.begin() as tx:
        sources.put_source(tx.connection, source)
    yield made
    made.database.close()


def deliver(web: Web, secret: str, delivery: str) -> int:
    raw = orjson.dumps({"ref": "refs/heads/main", "after": "a" * 40})
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": "sha256=" + hmac.digest(secret.encode(), raw, "sha256").hex(),
    }
    return web.client.post("/api/v1/git/webhooks/flows", data=raw, headers=headers).status_code


def test_sources_webhooks_and_looks_are_measured(web: Web) -> None:
    assert (deliver(web, "s3cret", "d1"), deliver(web, "wrong", "d2")) == (202, 401)
    web.core.measures.count("git_polls", "flows", "found")
    web.core.measures.count("report", "github", "delivered")
    for seconds in (0.2, 7.0, 90.0):
        web.core.measures.took("git_fetch", seconds)
    told = web.client.get("/metrics").text.splitlines()
    for line in (
        'penstock_git_status{source="flows",status="Synced"} 1.0',
        'penstock_git_status{source="flows",status="Degraded"} 0.0',
        'penstock_git_behind_commits{source="flows"} 0.0',
        'penstock_git_last_success_timestamp{source="flows"} 1.7698608e+09',
        'penstock_git_polls_total{result="found",source="flows"} 1.0',
        'penstock_report_total{forge="github",result="delivered"} 1.0',
        "penstock_job_kill_escalations_total 0.0",
        'penstock_git_fetch_seconds_bucket{le="0.25"} 1.0',
        'penstock_git_fetch_seconds_bucket{le="+Inf"} 3.0',
        "penstock_git_fetch_seconds_sum 97.2",
        'penstock_webhook_total{forge="github",verdict="queued"} 1.0',
        'penstock_webhook_total{forge="unknown",verdict="bad_signature"} 1.0',
    ):
        assert line in told, line
    assert not any("s3cret" in line for line in told)


def test_what_the_store_knows_is_measured_while_core_is_gone(web: Web) -> None:
    web.core.connected = False
    told = web.client.get("/metrics").text.splitlines()
    assert 'penstock_git_status{source="flows",status="Synced"} 1.0' in told
    assert not any(line.startswith("penstock_git_polls_total") for line in told)
