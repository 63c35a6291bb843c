"""The push example over the real parts: `git push`, a checkout of that commit, an approval."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live import Service, live_service, wait_for

SECONDS = 60.0
API = "/api/v1"
PERSON = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with live_service(tmp_path, options=["--examples"]) as running:
        yield running


@pytest.fixture
def work(service: Service, tmp_path: Path) -> Path:
    """A clone of the example repository whose flows are live: a first import is no push."""
    git("clone", "--quiet", str(service.home / "examples.git"), "work", cwd=tmp_path)
    wait_until_applied(service, git("rev-parse", "HEAD", cwd=tmp_path / "work"))
    return tmp_path / "work"


def git(*arguments: str, cwd: Path) -> str:
    return subprocess.run(
        ["git", *arguments],
        cwd=cwd,
        env={**os.environ, **PERSON},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    ).stdout.strip()


def push(work: Path, name: str, more: str) -> str:
    """Add a line to a file and push it; gives the commit."""
    with (work / name).open("a") as file:
        file.write(f"{more}\n")
    git("commit", "--quiet", "--all", "--message", f"Add to {name}", cwd=work)
    git("push", "--quiet", cwd=work)
    return git("rev-parse", "HEAD", cwd=work)


def wait_until_applied(service: Service, commit: str) -> None:
    wait_for(
        lambda: [one.get("appliedCommit") for one in service.get(f"{API}/git/sources").json()],
        lambda applied: applied == [commit],
        seconds=SECONDS,
    )


def executions(service: Service) -> list[dict[str, Any]]:
    """The executions of the push pipeline."""
    answer = service.get(f"{API}/executions/search", params={"namespace": "examples.ci"})
    found: list[dict[str, Any]] = answer.raise_for_status().json()["results"]
    return found


def only(service: Service, *states: str) -> dict[str, Any]:
    """The one execution of the push pipeline, once it is in one of these states."""

    def arrived(found: list[dict[str, Any]]) -> bool:
        return [one["state"]["current"] in states for one in found] == [True]

    found: list[dict[str, Any]] = wait_for(lambda: executions(service), arrived, seconds=SECONDS)
    return found[0]


def log(service: Service, execution: dict[str, Any]) -> str:
    lines = service.get(f"{API}/logs/{execution['id']}").raise_for_status().json()
    return "\n".join(str(line["message"]) for line in lines)


def test_a_push_is_tested_built_approved_and_deployed(service: Service, work: Path) -> None:
    version = push(work, "scripts/greet.sh", "# pushed")[:7]

    waiting = only(service, "PAUSED", "FAILED")
    assert f"version {version} is on staging: Hello, staging!" in log(service, waiting)
    assert "is on production" not in log(service, waiting)

    service.post(f"{API}/executions/{waiting['id']}/resume").raise_for_status()
    ended = only(service, "SUCCESS", "FAILED")
    assert f"version {version} is on production: Hello, production!" in log(service, ended)


def test_a_push_that_touches_no_script_starts_nothing(service: Service, work: Path) -> None:
    wait_until_applied(service, push(work, "hello.yaml", "# a word more"))
    assert executions(service) == []
