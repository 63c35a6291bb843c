"""Where deployed files come from: what the CI system says, else what the checkout says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from penstock_runner.git.provenance import Provenance

Environment = Mapping[str, str]
LONGEST = {"message": 4096}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a deploy says of its files; empty where nothing is known."""

    commit: str = ""
    ref: str = ""
    repository: str = ""
    actor: str = ""
    author: str = ""
    email: str = ""
    message: str = ""
    time: str = ""

    def body(self) -> dict[str, str]:
        """The fields that the service is told."""
        said = {one.name: str(getattr(self, one.name)) for one in fields(self)}
        return {name: text[: LONGEST.get(name, 300)] for name, text in said.items() if text}


def origin_of(environment: Environment, checkout: Provenance | None) -> Origin:
    """The CI system knows best; author and message are of the commit when it is checked out."""
    commit, ref, repository, actor = _ci(environment)
    head = checkout.commit if checkout is not None else None
    if checkout is not None:
        commit = commit or (head.sha if head is not None else "")
        ref = ref or checkout.ref or ""
        repository = repository or checkout.url or ""
    actor = actor or environment.get("USER", "")
    if head is None or head.sha != commit:
        return Origin(commit=commit, ref=ref, repository=repository, actor=actor)
    return Origin(
        commit=commit,
        ref=ref,
        repository=repository,
        actor=actor,
        author=head.author_name,
        email=head.author_email,
        message=head.message,
        time=head.author_time.isoformat(),
    )


def _ci(environment: Environment) -> tuple[str, str, str, str]:
    """Commit, ref, repository and actor, as GitHub (and those who follow it) or GitLab say them."""
    get = environment.get
    if get("GITHUB_SHA"):
        commit = _pull_request_head(environment) or get("GITHUB_SHA", "")
        return commit, get("GITHUB_REF", ""), get("GITHUB_REPOSITORY", ""), get("GITHUB_ACTOR", "")
    if get("CI_COMMIT_SHA"):
        name = get("CI_COMMIT_TAG") or get("CI_COMMIT_REF_NAME", "")
        kind = "tags" if get("CI_COMMIT_TAG") else "heads"
        ref = f"refs/{kind}/{name}" if name else ""
        return (
            get("CI_COMMIT_SHA", ""),
            ref,
            get("CI_PROJECT_PATH", ""),
            get("GITLAB_USER_LOGIN", ""),
        )
    return "", "", "", ""


def _pull_request_head(environment: Environment) -> str:
    """On pull requests GITHUB_SHA is a merge that nobody made; the event knows the real head."""
    if not environment.get("GITHUB_EVENT_NAME", "").startswith("pull_request"):
        return ""
    try:
        event: Any = json.loads(Path(environment.get("GITHUB_EVENT_PATH", "")).read_text("utf-8"))
        return str(event["pull_request"]["head"]["sha"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
