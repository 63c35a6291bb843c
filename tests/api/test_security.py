from __future__ import annotations

import base64
import logging
from pathlib import Path

import pytest
from tests.api.building import Web, build, password

from penstock_server.api.security import Passwords, host_name


def basic(name: str, text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{text}".encode()).decode()}


def test_a_foreign_host_is_misdirected_whatever_the_path(web: Web) -> None:
    for path in ("/ping", "/health/live", "/api/v1/flows/search", "/nothing"):
        answer = web.client.get(path, headers={"Host": "evil.example"})
        assert answer.status_code == 421, path
    assert web.client.get("/ping", headers={"Host": "LOCALHOST:8080"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("Localhost:80", "localhost"),
        ("[::1]:8080", "::1"),
        ("::1", "::1"),
        ("", ""),
        ("localhost:80@evil", "localhost"),
    ],
)
def test_the_name_of_a_host_header(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 404),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, 404),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://localhost"}, 403),
        ({"Origin": "http://evil.example", "Authorization": "Bearer x"}, 404),
    ],
)
def test_changes_come_from_our_own_pages_or_from_none(
    web: Web, headers: dict[str, str], status: int
) -> None:
    answer = web.client.delete("/api/v1/flows/team/nothing", headers=headers)
    assert answer.status_code == status


def test_a_token_beside_a_cookie_proves_nothing(web: Web) -> None:
    web.client.set_cookie("a", "b")
    headers = {"Origin": "http://evil.example", "Authorization": "Bearer x"}
    assert web.client.delete("/api/v1/flows/team/nothing", headers=headers).status_code == 403


def test_reading_and_webhooks_may_come_from_anywhere(web: Web) -> None:
    foreign = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert web.client.get("/api/v1/flows/search", headers=foreign).status_code == 200
    hook = web.client.post("/api/v1/executions/webhook/team/nothing/key", headers=foreign)
    assert hook.status_code == 404


def test_the_configured_address_is_ours(tmp_path: Path) -> None:
    web = build(tmp_path, url="https://ci.example.org/penstock")
    answer = web.client.delete("/api/v1/flows/a/b", headers={"Origin": "https://ci.example.org"})
    assert answer.status_code == 404


def test_a_password_is_asked_for_everywhere_but_on_open_paths(tmp_path: Path) -> None:
    web = build(tmp_path, basic_auth=password("ada", "s3cret"), open_paths=("/api/v1/plugins",))
    refused = web.client.get("/api/v1/flows/search")
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Basic ")
    for path in ("/ping", "/health/live", "/health/ready"):
        assert web.client.get(path).status_code == 200, path
    for path in ("/pingpong", "/healthy", "/metrics", "/api/v1/executions/webhook/a/b/c"):
        assert web.client.get(path).status_code == 401, path
    assert web.client.post("/api/v1/git/webhooks/nothing").status_code != 403
    for _ in range(2):
        answer = web.client.get("/api/v1/flows/search", headers=basic("ada", "s3cret"))
        assert answer.status_code == 200
    for wrong in (basic("ada", "no"), basic("bob", "s3cret"), {"Authorization": "Basic %%%"}):
        assert web.client.get("/api/v1/flows/search", headers=wrong).status_code == 401


def test_a_right_pair_is_remembered_for_five_minutes_only() -> None:
    now = [0.0]
    auth = password("ada", "s3cret")
    passwords = Passwords(auth, monotonic=lambda: now[0])
    header = basic("ada", "s3cret")["Authorization"]
    assert passwords.right(header)
    remembered = set(passwords._known)
    now[0] = 299
    assert passwords.right(header)
    assert set(passwords._known) == remembered
    assert header.encode() not in remembered
    now[0] = 301
    assert passwords.right(header)
    assert next(iter(passwords._known.values())) == 601


def test_every_answer_forbids_foreign_scripts(web: Web) -> None:
    for path in ("/ping", "/api/v1/flows/search", "/nothing"):
        headers = web.client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe-inline" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_unknown_routes_and_methods_have_the_standard_body(web: Web) -> None:
    missing = web.client.get("/api/v1/nothing/at/all")
    assert (missing.status_code, missing.json["message"]) == (404, "Not Found")
    method = web.client.delete("/api/v1/flows/search")
    assert method.status_code == 405
    assert "GET" in method.headers["Allow"]
    assert method.json["message"].startswith("Method Not Allowed")


def test_an_unexpected_failure_tells_the_log_and_not_the_client(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    @web.app.get("/broken")
    def broken() -> str:
        raise RuntimeError("the password is s3cret")

    with caplog.at_level(logging.ERROR):
        answer = web.client.get("/broken")
    assert answer.status_code == 500
    assert "s3cret" not in answer.text
    assert "s3cret" in caplog.text


def test_readiness_tells_what_is_missing(web: Web) -> None:
    assert web.client.get("/health/ready").json == {
        "status": "UP",
        "checks": {"store": "UP", "core": "UP", "runner": "UP"},
    }
    web.core.connected = False
    answer = web.client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json["checks"]["core"] == "DOWN"
    assert web.client.get("/health/live").status_code == 200


def test_metrics_name_routes_by_pattern(web: Web) -> None:
    web.client.get("/api/v1/executions/webhook/team/greet/very-secret-key")
    text = web.client.get("/metrics").text
    assert "very-secret-key" not in text
    assert "penstock_flows 0.0" in text
    assert 'penstock_executions{state="RUNNING"} 0.0' in text
