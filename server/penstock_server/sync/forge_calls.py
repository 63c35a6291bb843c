"""How each forge is told the status of a commit: pure, from a status to the exact request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlsplit

Forge = Literal["github", "gitlab", "gitea", "forgejo", "bitbucket", "bitbucket-dc"]
State = Literal["pending", "success", "failure", "error"]
LONGEST_DESCRIPTION = 140
_LONGEST_KEY = 40

_HOSTS: Mapping[str, Forge] = {
    "github.": "github",
    "gitlab": "gitlab",
    "gitea": "gitea",
    "forgejo": "forgejo",
    "codeberg.org": "forgejo",
    "bitbucket.org": "bitbucket",
}
_GITLAB = {"pending": "running", "success": "success", "failure": "failed", "error": "failed"}
_BITBUCKET = {
    "pending": "INPROGRESS",
    "success": "SUCCESSFUL",
    "failure": "FAILED",
    "error": "FAILED",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is said of a commit. `context` tells several speakers apart."""

    sha: str
    ref: str
    state: State
    context: str
    description: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A POST; `authorization` is the start of the header whose end is the token."""

    url: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    scheme: str = "Bearer"


def forge_of(url: str) -> Forge | None:
    """The forge of an address, as far as its host tells."""
    host = _parts(url)[0].lower()
    return next((forge for mark, forge in _HOSTS.items() if mark in host), None)


def status_call(forge: Forge, url: str, status: Status) -> Call:
    """The request that sets the status of a commit; `url` is that of the repository."""
    text = cut(status.description)
    match forge:
        case "github":
            return Call(
                url=f"{_github(url)}/statuses/{status.sha}",
                headers=_GITHUB,
                body=_plain(status, text),
            )
        case "gitea" | "forgejo":
            host, path = _parts(url)[1:]
            return Call(
                url=f"{host}/api/v1/repos/{path}/statuses/{status.sha}",
                headers={"Accept": "application/json"},
                body=_plain(status, text),
                scheme="token",
            )
        case "gitlab":
            host, path = _parts(url)[1:]
            body = {"state": _GITLAB[status.state], "name": status.context, "description": text}
            ref = _name(status.ref)
            body |= {"target_url": status.url} if status.url else {}
            return Call(
                url=f"{host}/api/v4/projects/{quote(path, safe='')}/statuses/{status.sha}",
                headers={"Accept": "application/json"},
                body=body | ({"ref": ref} if ref else {}),
            )
        case "bitbucket" | "bitbucket-dc":
            return _bitbucket(forge, url, status, text)


def deployment_call(url: str, sha: str, environment: str, description: str) -> Call:
    """The request that tells GitHub of a deployment; its answer has the `id` of it."""
    return Call(
        url=f"{_github(url)}/deployments",
        headers=_GITHUB,
        body={
            "ref": sha,
            "environment": environment,
            "description": cut(description),
            "auto_merge": False,
            "required_contexts": [],
        },
    )


def deployed_call(url: str, deployment: int, description: str, target: str) -> Call:
    """The request that says that a deployment has succeeded."""
    body = {"state": "success", "description": cut(description), "log_url": target}
    return Call(
        url=f"{_github(url)}/deployments/{deployment}/statuses",
        headers=_GITHUB,
        body={name: value for name, value in body.items() if value},
    )


def already(forge: Forge, status: int, text: str) -> bool:
    """Whether an answer only says that the status was set before."""
    return forge == "gitlab" and status == 400 and "Cannot transition status" in text


def cut(text: str) -> str:
    """A description as long as every forge takes it, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_DESCRIPTION else line[: LONGEST_DESCRIPTION - 3] + "..."


_GITHUB = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}


def _github(url: str) -> str:
    name, host, path = _parts(url)
    base = "https://api.github.com" if name.lower() == "github.com" else f"{host}/api/v3"
    return f"{base}/repos/{path}"


def _plain(status: Status, text: str) -> dict[str, Any]:
    body = {"state": status.state, "context": status.context, "description": text}
    return body | ({"target_url": status.url} if status.url else {})


def _bitbucket(forge: Forge, url: str, status: Status, text: str) -> Call:
    name, host, path = _parts(url)
    body: dict[str, Any] = {
        "key": status.context[:_LONGEST_KEY],
        "state": _BITBUCKET[status.state],
        # Bitbucket wants an address; without one of ours the commit's own will do.
        "url": status.url or f"https://{name}/{path}/commits/{status.sha}",
        "name": status.context,
        "description": text,
    }
    if forge == "bitbucket":
        base = "https://api.bitbucket.org" if name.lower() == "bitbucket.org" else host
        ref = _name(status.ref)
        return Call(
            url=f"{base}/2.0/repositories/{path}/commit/{status.sha}/statuses/build",
            headers={"Accept": "application/json"},
            body=body | ({"refname": ref} if ref else {}),
        )
    project, _, repository = path.removeprefix("scm/").partition("/")
    where = f"projects/{project}/repos/{repository}/commits/{status.sha}/builds"
    return Call(
        url=f"{host}/rest/api/latest/{where}",
        headers={"Accept": "application/json"},
        body=body | ({"ref": status.ref} if status.ref else {}),
    )


def _name(ref: str) -> str:
    """The short name of a branch or tag."""
    return ref.removeprefix("refs/heads/").removeprefix("refs/tags/")


def _parts(url: str) -> tuple[str, str, str]:
    """Name of the host, address of its web side, and path of the repository without `.git`."""
    if "://" not in url:
        place, _, path = url.partition(":")
        name = place.rpartition("@")[2]
        return name, f"https://{name}", _path(path)
    parts = urlsplit(url)
    name = parts.hostname or ""
    if parts.scheme in ("http", "https"):
        return name, f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", _path(parts.path)
    return name, f"https://{name}", _path(parts.path)


def _path(path: str) -> str:
    return path.strip("/").removesuffix(".git")
