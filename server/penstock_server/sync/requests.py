"""What core asks the git process: a look at one source, with its secrets and what is applied."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from penstock_server.sync.asked import Look
from penstock_server.sync.desired import Manifest
from penstock_server.sync.plan import Key
from penstock_server.sync.settings import GitSettings, SourceSettings
from penstock_server.sync.state import SourceState

Secrets = Callable[[str], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A store of several sources: that of the first of them, and what the others have applied."""

    store: str
    applied: Sequence[str] = ()


class MissingSecret(Exception):
    """A secret that a source names has no value."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no secret {name!r}; set it, or name another one in `auth`")
        self.name = name


def look_request(
    settings: SourceSettings,
    state: SourceState,
    manifest: Manifest,
    *,
    secrets: Secrets,
    git: GitSettings,
    observed: str | None,
    reread: bool,
    look: Look,
    edited: Collection[Key] = (),
    kept: dict[str, Any] | None = None,
    brief: bool = False,
    shared: Shared | None = None,
) -> dict[str, Any]:
    """The message for one look.

    A `brief` one asks only whether the ref has moved, and carries nothing for reading. `reread` has
    every file read again, whatever was applied, `edited` those that hold these flows; `kept` is a
    commit that the store remembers, `shared` the store that several sources have.
    """
    # What the store remembers is only read and checked: nobody is asked.
    asked = secrets if kept is None else None
    described = described_source(
        settings, secrets=asked, git=git, commit=look.commit, shared=shared
    )
    if brief:
        return {"type": "look", "source": described, "observed": observed, "brief": True}
    known = {
        path: entry["blob"]
        for path, entry in manifest.items()
        if not any((item["namespace"], item["id"]) in edited for item in entry["items"])
    }
    if kept is not None:
        ref = state.observed_ref or settings.ref_name
        return {"type": "look", "source": described, "kept": kept, "ref": ref}
    return {
        "type": "look",
        "source": described,
        "observed": observed if look.aim != "plan" else None,
        "applied": state.applied_commit,
        "beside": list(shared.applied) if shared is not None else [],
        "known": {} if reread else known,
        "force": look.force or look.aim == "plan",
        "announce": _announced(settings, state, look),
    }


def described_source(
    settings: SourceSettings,
    *,
    secrets: Secrets | None,
    git: GitSettings,
    commit: str | None = None,
    shared: Shared | None,
) -> dict[str, Any]:
    """Where a source is, how it is reached, and what of its ref, or of a commit, is read.

    Without `secrets` it is not to be reached.
    """
    described = settings.model_dump(
        mode="json",
        include={"id", "url", "include", "exclude", "namespaces", "limits"}
        | {"files", "symlinks", "labels", "tests"},
    )
    return {
        **described,
        "path": settings.folder,
        "ref_kind": settings.ref_kind if commit is None else "commit",
        "ref": commit or settings.ref_name,
        "mapping": settings.mapping.model_dump(mode="json", by_alias=True),
        "timeout": settings.timeout.total_seconds(),
        "file_roots": [str(root) for root in git.file_roots],
        **network_of(settings, git, settings.shown_url),
        "auth": _auth(settings, secrets) if secrets is not None else None,
        "store": shared.store if shared is not None else settings.id,
    }


def _announced(
    settings: SourceSettings, state: SourceState, look: Look
) -> dict[str, list[str | None]] | None:
    """Whether core wants to know at once of a commit that it will try to apply."""
    stays = state.pinned_commit is not None or not (settings.auto or look.retry or look.force)
    if look.aim != "apply" or look.commit is not None or stays:
        return None
    return {"tried": [state.applied_commit, state.failed_commit]}


def network_of(settings: SourceSettings, git: GitSettings, url: str) -> dict[str, Any]:
    """How an address is reached: through which proxy, and whose certificates are trusted."""
    return {
        "allow_http": settings.allow_http,
        "allow_private": git.private_allowed(settings, url),
        "proxy": settings.proxy or proxy_for(url, git.proxies),
        "ca_file": str(settings.tls.ca_file) if settings.tls.ca_file else None,
        "client_cert": str(settings.tls.client_cert) if settings.tls.client_cert else None,
        "insecure": settings.tls.insecure_skip_verify,
    }


def report_token(settings: SourceSettings, secrets: Secrets) -> str:
    """The token that reports are made with: that of `report`, else that of `auth`."""
    name = settings.report.token_secret if settings.report is not None else None
    name = name or settings.auth.token_secret
    if name is None:
        return settings.auth.token.get_secret_value() if settings.auth.token is not None else ""
    value = secrets(name)
    if value is None:
        raise MissingSecret(name)
    return value


def proxy_for(url: str, proxies: Mapping[str, str]) -> str | None:
    """The proxy that the environment names for an address."""
    parts = urlsplit(url)
    proxy = proxies.get(parts.scheme)
    if not proxy or proxy_bypass_environment(parts.netloc, dict(proxies)):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _auth(settings: SourceSettings, secrets: Secrets) -> dict[str, str | None]:
    def secret(name: str | None) -> str | None:
        if name is None:
            return None
        value = secrets(name)
        if value is None:
            raise MissingSecret(name)
        return value

    auth = settings.auth
    return {
        "username": auth.username,
        "password": secret(auth.password_secret)
        or (auth.password.get_secret_value() if auth.password else None),
        "token": secret(auth.token_secret)
        or (auth.token.get_secret_value() if auth.token else None),
        "ssh_key": secret(auth.ssh_key_secret),
        "passphrase": secret(auth.passphrase_secret),
        "known_hosts": auth.known_hosts,
    }
