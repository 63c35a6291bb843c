from __future__ import annotations

from datetime import timedelta

import pytest
from tests.api.building import Web

KEY = "/api/v1/namespaces/team/kv/my-key"


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ('{"hello":"world"}', "JSON", {"hello": "world"}),
        ('{hello:"world"}', "JSON", {"hello": "world"}),
        ('["hello"]', "JSON", ["hello"]),
        ('"hello"', "STRING", "hello"),
        ("1", "NUMBER", 1),
        ("1.0", "NUMBER", 1.0),
        ("false", "BOOLEAN", False),
        ("2021-09-01", "DATE", "2021-09-01"),
        ("2021-09-01T01:02:03Z", "DATETIME", "2021-09-01T01:02:03Z"),
        ('"PT5S"', "DURATION", "PT5S"),
    ],
)
def test_a_value_comes_back_with_its_type(web: Web, text: str, kind: str, value: object) -> None:
    assert web.client.put(KEY, data=text).status_code == 200
    assert web.client.get(KEY).json == {"type": kind, "value": value}


@pytest.mark.parametrize("text", ["", "hello", "{", "null", '"open', "1 2", "nan"])
def test_what_is_no_value_is_422(web: Web, text: str) -> None:
    answer = web.client.put(KEY, data=text)
    assert answer.status_code == 422
    assert answer.json["message"] == "Illegal argument: Invalid JSON value for: my-key"


def test_a_value_expires(web: Web) -> None:
    web.client.put(KEY, data="1", headers={"ttl": "PT5M"})
    [entry] = web.client.get("/api/v1/namespaces/team/kv").json
    assert entry["expirationDate"] == "2026-01-31T12:05:00Z"
    web.clock.at += timedelta(minutes=5)
    answer = web.client.get(KEY)
    assert answer.status_code == 410
    assert answer.json["message"] == "Resource has expired: The requested value has expired"
    assert web.client.get("/api/v1/namespaces/team/kv").json == []
    for bad in ("PT-5M", "-PT5M", "soon", "P99999999Y"):
        assert web.client.put(KEY, data="1", headers={"ttl": bad}).status_code == 422, bad


def test_keys_are_deleted(web: Web) -> None:
    web.client.put(KEY, data="1")
    missing = web.client.get(f"{KEY}2")
    assert missing.status_code == 404
    assert "No value found for key 'my-key2' in namespace 'team'" in missing.json["message"]
    answer = web.client.delete("/api/v1/namespaces/team/kv", json={"keys": ["my-key", "no"]})
    assert answer.json == {"keys": ["my-key"]}
    assert web.client.delete(KEY).json is False
    assert web.client.delete("/api/v1/namespaces/team/kv", json=[]).status_code == 422


@pytest.mark.parametrize("data", ["9" * 6000, "2026-99-99"])
def test_a_value_that_does_not_exist_is_422(web: Web, data: str) -> None:
    assert web.client.put(KEY, data=data).status_code == 422


@pytest.mark.parametrize("key", ["bad$key", "-x", "x" * 300])
def test_an_illegal_key_is_422(web: Web, key: str) -> None:
    for call in (web.client.get, web.client.delete):
        assert call(f"/api/v1/namespaces/team/kv/{key}").status_code == 422
    answer = web.client.put(f"/api/v1/namespaces/team/kv/{key}", data='"content"')
    assert answer.status_code == 422
    assert answer.json["message"].startswith("Illegal argument: Key must ")


def test_the_keys_of_the_namespaces_above_are_listed_nearest_first(web: Web) -> None:
    for namespace in ("team", "team.app", "team.app.jobs"):
        web.client.put(f"/api/v1/namespaces/{namespace}/kv/shared", data="1")
    found = web.client.get("/api/v1/main/namespaces/team.app.jobs/kv/inheritance").json
    assert [(one["namespace"], one["key"]) for one in found] == [
        ("team.app", "shared"),
        ("team", "shared"),
    ]


def test_the_keys_of_all_namespaces_are_one_list(web: Web) -> None:
    for namespace in ("team", "sales"):
        web.client.put(f"/api/v1/namespaces/{namespace}/kv/shared", data="1")
    listed = web.client.get("/api/v1/main/kv?size=1&page=2").json
    assert listed["total"] == 2
    assert [(one["namespace"], one["key"]) for one in listed["results"]] == [("team", "shared")]
