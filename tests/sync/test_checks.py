"""What `git doctor` finds: every step of a source that fails, and what to change then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.git.certificates import Authority
from tests.git_http import GitServer, Repository, serve_git
from tests.sync.world import REGISTRY, World, flow

from penstock_server.sync.errands import run_errand
from penstock_server.sync.hearing import Delivery


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "served" / "flows.git")
    made.commit({"flows/a.yml": flow("a")})
    return made


@pytest.fixture
def server(tmp_path: Path, repository: Repository) -> Iterator[GitServer]:
    with serve_git(tmp_path / "served") as running:
        yield running


def doctor(world: World) -> dict[str, Any]:
    told: list[dict[str, Any]] = []
    world.service.check("main", told.append)
    for message in [one for one in world.asked if one["type"] == "check"]:
        world.asked.remove(message)
        world.service.receive(run_errand(message, world.folder / "bare", REGISTRY, None))
    [found] = told
    return found


def step(found: dict[str, Any], name: str) -> tuple[str, str]:
    [one] = [one for one in found["checks"] if one["name"] == name]
    return one["status"], one["message"]


def checked(folder: Path, secrets: dict[str, str] | None = None, **source: Any) -> dict[str, Any]:
    world = World(folder, **source)
    world.secrets.update(secrets or {})
    try:
        return doctor(world)
    finally:
        world.close()


def test_a_source_that_works_passes_every_step(
    tmp_path: Path, server: GitServer, repository: Repository
) -> None:
    found = checked(tmp_path, url=server.url_of(repository), path="flows")
    steps = {one["name"]: one["status"] for one in found["checks"]}
    fine = ("address", "dns", "connect", "trust", "auth", "ref", "path")
    assert {name: steps[name] for name in fine} == dict.fromkeys(fine, "ok")
    assert (found["ok"], steps["webhook"]) == (True, "skipped")
    assert step(found, "path")[1] == "flows holds 1 files"


@pytest.mark.parametrize(
    ("source", "name", "wanted"),
    [
        ({"url": "https://no-such-host.invalid/x.git"}, "dns", "no-such-host.invalid"),
        ({"url": "http://127.0.0.1:1/x.git"}, "connect", "firewall"),
        ({"url": "http://127.0.0.1:9/x.git", "proxy": "http://127.0.0.1:1"}, "connect", "proxy"),
        ({"url": "ext::sh -c id"}, "address", "is no address"),
        ({"ref": "mian"}, "ref", "main"),
        ({"path": "flow"}, "path", "Set `path`"),
    ],
)
def test_the_step_that_fails_says_what_to_change_and_later_ones_are_not_tried(
    tmp_path: Path,
    server: GitServer,
    repository: Repository,
    source: dict[str, str],
    name: str,
    wanted: str,
) -> None:
    found = checked(tmp_path, **{"url": server.url_of(repository), **source})
    status, message = step(found, name)
    assert (status, wanted in message) == ("failed", True), message
    assert not found["ok"]
    order = [one["name"] for one in found["checks"]]
    later = found["checks"][order.index(name) + 1 : order.index("webhook")]
    assert {one["status"] for one in later} <= {"skipped"}


def test_credentials_that_are_refused_and_a_secret_that_is_missing_are_told_apart(
    tmp_path: Path, server: GitServer, repository: Repository
) -> None:
    server.username, server.password = "git", "right"
    source = {"url": server.url_of(repository), "auth": {"tokenSecret": "GIT_TOKEN"}}
    refused = checked(tmp_path / "a", {"GIT_TOKEN": "wr0ng"}, **source)
    assert step(refused, "auth")[0] == "failed"
    assert step(refused, "trust")[0] == "ok"
    assert "wr0ng" not in str(refused)
    missing = checked(tmp_path / "b", **source)
    assert "GIT_TOKEN" in step(missing, "auth")[1]
    right = checked(tmp_path / "c", {"GIT_TOKEN": "right"}, **source)
    assert step(right, "auth") == ("ok", "let in")


def test_a_certificate_that_is_not_trusted_asks_for_the_authority(
    tmp_path: Path, repository: Repository
) -> None:
    authority = Authority(tmp_path / "ca")
    with serve_git(tmp_path / "served", tls=authority.server()) as server:
        url = server.url_of(repository)
        status, message = step(checked(tmp_path / "a", url=url), "trust")
        assert (status, "tls.caFile" in message) == ("failed", True)
        trusted = checked(tmp_path / "b", url=url, tls={"caFile": str(authority.file)})
        assert step(trusted, "trust") == ("ok", "the certificate is trusted")


def test_a_clock_that_is_far_off_is_a_warning(
    tmp_path: Path, server: GitServer, repository: Repository
) -> None:
    found = checked(tmp_path, url=server.url_of(repository))
    # The frozen clock of the test is far from that of the server.
    status, message = step(found, "clock")
    assert (status, "Set its clock" in message) == ("warning", True)
    assert found["ok"]


def test_the_webhook_is_looked_at_too(
    tmp_path: Path, server: GitServer, repository: Repository
) -> None:
    world = World(tmp_path, url=server.url_of(repository), webhook={"secretSecret": "HOOK"})
    assert step(doctor(world), "webhook")[0] == "failed"
    world.secrets["HOOK"] = "s3cret"
    status, message = step(doctor(world), "webhook")
    assert (status, "/api/v1/git/webhooks/main" in message) == ("warning", True)
    pinged = Delivery(source_id="main", forge="github", event="ping", delivery_id="p1", ping=True)
    world.service.heard(pinged, lambda _: None)
    status, message = step(doctor(world), "webhook")
    assert (status, "ping by github" in message) == ("ok", True)
    world.service.rejected("main", 3)
    assert step(doctor(world), "webhook")[0] == "warning"
    world.close()


def test_a_check_that_is_never_answered_ends_too(tmp_path: Path, repository: Repository) -> None:
    world = World(tmp_path, url=f"file://{repository.path}")
    told: list[dict[str, Any]] = []
    world.service.check("main", told.append)
    world.service.check("main", told.append)
    assert len([one for one in world.asked if one["type"] == "check"]) == 1
    world.service.tick(world.clock.now() + timedelta(minutes=3))
    assert [one["ok"] for one in told] == [False, False]
    world.close()
