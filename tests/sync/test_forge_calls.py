"""The exact requests that forges are told the status of a commit with."""

from __future__ import annotations

import pytest

from penstock_server.sync.forge_calls import (
    Call,
    Forge,
    Status,
    already,
    cut,
    deployed_call,
    deployment_call,
    forge_of,
    status_call,
)

SHA = "a" * 40
URL = "https://penstock.example/git/runs/r1"
STATUS = Status(
    sha=SHA,
    ref="refs/heads/main",
    state="success",
    context="penstock/main",
    description="3 changed, 42 total",
    url=URL,
)
GITHUB = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
PLAIN = {
    "state": "success",
    "context": "penstock/main",
    "description": "3 changed, 42 total",
    "target_url": URL,
}
BUILD = {
    "key": "penstock/main",
    "state": "SUCCESSFUL",
    "url": URL,
    "name": "penstock/main",
    "description": "3 changed, 42 total",
}


@pytest.mark.parametrize(
    ("forge", "url", "call"),
    [
        pytest.param(
            "github",
            "https://github.com/acme/flows.git",
            Call(
                url=f"https://api.github.com/repos/acme/flows/statuses/{SHA}",
                headers=GITHUB,
                body=PLAIN,
            ),
            id="github.com",
        ),
        pytest.param(
            "github",
            "git@git.acme.example:acme/flows.git",
            Call(
                url=f"https://git.acme.example/api/v3/repos/acme/flows/statuses/{SHA}",
                headers=GITHUB,
                body=PLAIN,
            ),
            id="GitHub Enterprise, by ssh",
        ),
        pytest.param(
            "gitlab",
            "https://gitlab.com/acme/data/flows.git",
            Call(
                url=f"https://gitlab.com/api/v4/projects/acme%2Fdata%2Fflows/statuses/{SHA}",
                headers={"Accept": "application/json"},
                body={
                    "state": "success",
                    "ref": "main",
                    "name": "penstock/main",
                    "target_url": URL,
                    "description": "3 changed, 42 total",
                },
            ),
            id="gitlab",
        ),
        pytest.param(
            "forgejo",
            "https://codeberg.org/acme/flows",
            Call(
                url=f"https://codeberg.org/api/v1/repos/acme/flows/statuses/{SHA}",
                headers={"Accept": "application/json"},
                body=PLAIN,
                scheme="token",
            ),
            id="forgejo",
        ),
        pytest.param(
            "bitbucket",
            "https://bitbucket.org/acme/flows.git",
            Call(
                url=f"https://api.bitbucket.org/2.0/repositories/acme/flows/commit/{SHA}/statuses/build",
                headers={"Accept": "application/json"},
                body={**BUILD, "refname": "main"},
            ),
            id="bitbucket cloud",
        ),
        pytest.param(
            "bitbucket-dc",
            "https://git.acme.example:7990/scm/DATA/flows.git",
            Call(
                url=(
                    "https://git.acme.example:7990/rest/api/latest/projects/DATA/repos/flows"
                    f"/commits/{SHA}/builds"
                ),
                headers={"Accept": "application/json"},
                body={**BUILD, "ref": "refs/heads/main"},
            ),
            id="bitbucket data center",
        ),
    ],
)
def test_every_forge_is_told_in_its_own_way(forge: Forge, url: str, call: Call) -> None:
    assert status_call(forge, url, STATUS) == call


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        ("github", ("pending", "success", "failure", "error")),
        ("gitea", ("pending", "success", "failure", "error")),
        ("gitlab", ("running", "success", "failed", "failed")),
        ("bitbucket", ("INPROGRESS", "SUCCESSFUL", "FAILED", "FAILED")),
    ],
)
def test_states_have_the_words_of_the_forge(forge: Forge, words: tuple[str, ...]) -> None:
    from dataclasses import replace

    url = "https://git.example.org/acme/flows.git"
    states = ("pending", "success", "failure", "error")
    said = [status_call(forge, url, replace(STATUS, state=one)).body["state"] for one in states]  # type: ignore[arg-type]
    assert tuple(said) == words


def test_a_deployment_is_made_and_then_told_to_have_succeeded() -> None:
    url = "https://github.com/acme/flows.git"
    made = deployment_call(url, SHA, "production", "3 changed")
    assert made.url == "https://api.github.com/repos/acme/flows/deployments"
    assert made.body == {
        "ref": SHA,
        "environment": "production",
        "description": "3 changed",
        "auto_merge": False,
        "required_contexts": [],
    }
    done = deployed_call(url, 7, "3 changed", URL)
    assert done.url == "https://api.github.com/repos/acme/flows/deployments/7/statuses"
    assert done.body == {"state": "success", "description": "3 changed", "log_url": URL}


def test_descriptions_are_one_line_of_140_characters_and_keys_have_40() -> None:
    long = Status(sha=SHA, ref="", state="error", context="c" * 60, description="é\n" * 200, url="")
    body = status_call("bitbucket", "https://bitbucket.org/a/b", long).body
    assert (len(body["description"]), body["description"][-3:]) == (140, "...")
    assert "\n" not in body["description"]
    assert (len(body["key"]), "refname" in body) == (40, False)
    assert cut("short") == "short"


def test_gitlab_saying_that_the_status_is_there_is_fine() -> None:
    text = '{"message":"Cannot transition status via :run from :running"}'
    assert already("gitlab", 400, text)
    assert not already("gitlab", 400, "bad request")
    assert not already("github", 400, text)


@pytest.mark.parametrize(
    ("url", "forge"),
    [
        ("https://github.com/a/b", "github"),
        ("git@gitlab.acme.example:a/b", "gitlab"),
        ("https://codeberg.org/a/b", "forgejo"),
        ("https://gitea.acme.example/a/b", "gitea"),
        ("https://bitbucket.org/a/b", "bitbucket"),
        ("https://git.acme.example/github.git", None),
    ],
)
def test_the_host_tells_the_forge_where_it_can(url: str, forge: str | None) -> None:
    assert forge_of(url) == forge
