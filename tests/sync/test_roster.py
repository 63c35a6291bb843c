from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.git_http import Repository
from tests.sync.world import World, flow

from penstock_runner.executor.ciphers import Cipher
from penstock_server.store import audits, declared, sources
from penstock_server.sync import roster
from penstock_server.sync.asked import Pin
from penstock_server.sync.declared import BadDeclaration, declared_source
from penstock_server.sync.requests import network_of
from penstock_server.sync.roster import NotYours
from penstock_server.sync.settings import GitSettings, SourceSettings

CIPHER = Cipher(base64.b64encode(b"k" * 32).decode())


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "flows.git")
    made.commit({"a.yml": flow("a")}, "first")
    return made


@pytest.fixture
def world(tmp_path: Path, repository: Repository) -> Iterator[World]:
    made = World(tmp_path, url=f"file://{repository.path}")
    yield made
    made.close()


def declare(world: World, source_id: str, **settings: Any) -> dict[str, Any]:
    told: list[Any] = []
    world.service.roster.declare(source_id, settings, "ana", told.append)
    [result] = told
    assert isinstance(result, dict), result
    return result


def remove(world: World, source_id: str, *, prune: bool = False) -> list[Any]:
    told: list[Any] = []
    world.service.roster.remove(source_id, prune=prune, actor="ana", told=told.append)
    return told


def configure(world: World, *given: SourceSettings) -> None:
    world.service.roster.configure(GitSettings(sources=given, file_roots=tuple(world.roots)))


def noted(world: World) -> list[tuple[str, str, str | None]]:
    with world.database.read() as connection:
        found, _ = audits.page(connection)
    return [(one.action, one.subject, one.actor) for one in reversed(found)]


def row_of(world: World, source_id: str) -> sources.GitSource | None:
    with world.database.read() as connection:
        return sources.source(connection, source_id)


def test_a_declared_source_is_looked_at_and_outlives_a_restart(
    tmp_path: Path, world: World
) -> None:
    other = Repository(tmp_path / "other.git")
    other.commit({"b.yml": flow("b")})
    url = f"file://{other.path}"
    assert declare(world, "other", url=url) == {"source": "other", "created": True}
    row = row_of(world, "other")
    assert row is not None
    assert (row.origin, row.status) == ("api", "Unknown")

    world.service.look("other", trigger="manual")
    world.answer()
    assert world.heads()["b"].managed_by == "other"
    again = world.start(url=world.settings.url)
    assert again.status("other")["status"] == "Synced"
    assert noted(world) == [("source.added", "other", "ana")]


def test_other_settings_of_a_declared_source_hold_from_its_next_look(
    repository: Repository, world: World
) -> None:
    url = f"file://{repository.path}"
    declare(world, "other", url=url, path="nowhere", adopt=False)
    assert declare(world, "other", url=url, interval=3600) == {"source": "other", "created": False}
    assert world.service.roster.sources["other"].settings.interval.total_seconds() == 3600
    assert [one[0] for one in noted(world)] == ["source.added", "source.changed"]


def test_a_source_of_the_configuration_is_neither_declared_nor_removed(world: World) -> None:
    with pytest.raises(NotYours, match="is in the configuration of the service"):
        declare(world, "main", url="https://git.example.org/x.git")
    with pytest.raises(NotYours, match="take it out there"):
        remove(world, "main")


def test_a_removed_declared_source_is_gone_and_its_flows_belong_to_nobody(
    repository: Repository, tmp_path: Path
) -> None:
    world = World(tmp_path, url=f"file://{repository.path}", enabled=False)
    declare(world, "other", url=f"file://{repository.path}")
    world.service.look("other", trigger="manual")
    world.answer()
    assert remove(world, "other") == [{"source": "other", "removed": True, "deleted": 0, "kept": 1}]
    assert world.heads()["a"].managed_by is None
    assert row_of(world, "other") is None
    with world.database.read() as connection:
        assert declared.listed(connection) == []
    assert noted(world)[-1] == ("source.removed", "other", "ana")
    world.close()


def test_a_source_is_removed_when_its_run_has_ended(world: World, repository: Repository) -> None:
    declare(world, "other", url=f"file://{repository.path}")
    results: list[dict[str, Any]] = []
    world.service.look("other", trigger="manual", wait=results.append)
    world.service.look("other", trigger="manual", commit="a" * 40, wait=results.append)
    told = remove(world, "other")
    assert told == []
    with pytest.raises(NotYours, match="is being removed"):
        declare(world, "other", url=f"file://{repository.path}")
    world.asked[:] = [one for one in world.asked if one["source"]["id"] == "other"][:1]
    world.answer()
    world.service.tick(world.clock.now())
    assert [one["removed"] for one in told] == [True]
    assert (results[0]["phase"], results[1]["code"]) == ("succeeded", "SOURCE_REMOVED")


def test_a_configuration_that_is_read_again_adds_changes_and_removes_sources(
    world: World, repository: Repository
) -> None:
    world.sync()
    slower = world.settings.model_copy(update={"labels": {"team": "data"}})
    new = SourceSettings(id="new", url=f"file://{repository.path}", path="new")
    configure(world, slower, new)
    assert world.service.roster.sources["main"].settings.labels == {"team": "data"}
    assert world.service.status("new")["status"] == "Unknown"

    configure(world, new)
    row = row_of(world, "main")
    assert row is not None
    assert [one["code"] for one in row.conditions or ()] == ["NOT_CONFIGURED"]
    assert world.heads()["a"].managed_by == "main"
    configure(world, slower, new)
    row = row_of(world, "main")
    assert row is not None
    assert (row.enabled, list(row.conditions or ())) == (True, [])
    assert noted(world) == [
        ("source.added", "new", "configuration"),
        ("source.changed", "main", "configuration"),
        ("source.removed", "main", "configuration"),
        ("source.added", "main", "configuration"),
    ]


def test_a_source_that_is_taken_out_of_the_configuration_stops_after_its_run(world: World) -> None:
    results: list[dict[str, Any]] = []
    world.service.look("main", trigger="manual", wait=results.append)
    configure(world)
    assert world.service.status("main")["id"] == "main"
    world.answer()
    world.service.tick(world.clock.now())
    assert results[0]["phase"] == "succeeded"
    assert world.service.sources() == []
    assert world.service.edits("main") == "allow"


def test_a_token_is_stored_encrypted_or_refused(world: World, tmp_path: Path) -> None:
    url, token = "https://git.example.org/x.git", "s3cr3t-token"
    with pytest.raises(BadDeclaration, match="encryptionKey"):
        declare(world, "other", url=url, auth={"token": token})
    world.service = world.start(cipher=CIPHER, url=world.settings.url)
    declare(world, "other", url=url, auth={"token": token, "username": "ana"})
    with world.database.read() as connection:
        [stored] = declared.listed(connection)
        row = sources.source(connection, "other")
    assert token not in str(stored.settings)
    assert "auth" not in (row.config if row is not None else {})
    world.service = world.start(cipher=CIPHER, url=world.settings.url)
    kept = world.service.roster.sources["other"].settings.auth
    assert kept.token is not None
    assert kept.token.get_secret_value() == token


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"url": "https://ana:pw@git.example.org/x.git"}, "source"),
        ({"url": "https://git.example.org/x.git", "proxy": "http://10.0.0.1:80"}, "source"),
        ({"url": "https://git.example.org/x.git", "tls": {"caFile": "/etc/shadow"}}, "source"),
        ({"url": "https://git.example.org/x.git", "interval": 1}, "interval"),
        ({"url": "https://git.example.org/x.git", "colour": "red"}, "colour"),
        ({"url": "https://git.example.org/x.git", "id": "another"}, "id"),
        ({}, "url"),
    ],
)
def test_what_a_declared_source_may_not_say_is_named(given: dict[str, Any], path: str) -> None:
    with pytest.raises(BadDeclaration) as bad:
        declared_source("other", given)
    assert [one["path"] for one in bad.value.faults] == [path]
    assert "pw@" not in str(bad.value)


@pytest.mark.parametrize(
    ("settings", "configured", "api"),
    [
        ({}, True, False),
        ({"hosts": {"git.lan"}}, True, True),
        ({"allow_private": True}, True, True),
        ({"allow_private": False, "hosts": {"git.lan"}}, False, False),
    ],
)
def test_sources_of_the_api_stay_out_of_private_networks_unless_they_are_let_in(
    settings: dict[str, Any], *, configured: bool, api: bool
) -> None:
    url, git = "https://git.lan/x.git", GitSettings.model_validate(settings)
    by_configuration = SourceSettings(id="a", url=url)
    assert network_of(by_configuration, git, url)["allow_private"] is configured
    by_api = declared_source("b", {"url": url})
    assert network_of(by_api, git, url)["allow_private"] is api


def test_a_declared_source_on_this_machine_is_refused_when_it_is_connected(world: World) -> None:
    declare(world, "inside", url="http://127.0.0.1:9/x.git")
    results: list[dict[str, Any]] = []
    world.service.look("inside", trigger="manual", wait=results.append)
    [request] = [one for one in world.asked if one["source"]["id"] == "inside"]
    assert request["source"]["allow_private"] is False


def test_a_confirmed_plan_a_rollback_and_its_end_are_noted(
    world: World, repository: Repository
) -> None:
    world.sync()
    repository.commit({"a.yml": None, "b.yml": flow("b")})
    world.sync()
    repository.commit({"b.yml": None})
    refused = world.sync()
    assert refused["phase"] == "refused"
    world.sync(confirm=refused["digest"], actor="ana")
    results: list[dict[str, Any]] = []
    world.service.rollback("main", "~1", Pin(by="ana", reason="too early"), wait=results.append)
    world.answer()
    world.service.resume("main", actor="li")
    assert [(one[0], one[2]) for one in noted(world)] == [
        ("sync.confirmed", "ana"),
        ("source.rolledBack", "ana"),
        ("source.resumed", "li"),
    ]


def test_there_is_an_end_to_the_number_of_sources(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "MOST_SOURCES", 2)
    declare(world, "other", url="https://git.example.org/x.git")
    with pytest.raises(NotYours, match="2 sources already"):
        declare(world, "third", url="https://git.example.org/y.git")
    assert not declare(world, "other", url="https://git.example.org/z.git")["created"]


def test_a_declaration_of_another_release_stops_nobody_from_starting(world: World) -> None:
    declare(world, "other", url="https://git.example.org/x.git")
    with world.database.begin() as tx:
        odd = {"id": "other", "url": "https://git.example.org/x.git", "fromTheFuture": True}
        row = declared.Declared(id="other", settings=odd, updated_at=world.clock.now())
        declared.put(tx.connection, row)
    world.service = world.start(url=world.settings.url)
    assert [one["id"] for one in world.service.sources()] == ["main"]
    assert declare(world, "other", url="https://git.example.org/x.git")["source"] == "other"
    assert len(world.service.sources()) == 2
