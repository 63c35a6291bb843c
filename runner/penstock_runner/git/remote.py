"""Where a repository is and how to get in: addresses that are allowed, and credentials.

Only `https`, `http` (to loopback, or when allowed), `ssh` and `file` (below configured folders) are
addresses; everything else is refused before any library sees it. User and password are taken out of
an address at once and travel in `Credentials`, whose secrets no `repr` shows.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from penstock_runner.git.trouble import GIT_ADDRESS, GitTrouble

_SCP = re.compile(r"(?P<user>[A-Za-z0-9._-]+)@(?P<host>[A-Za-z0-9.-]+):(?P<path>(?!/).+)")
_TOKEN_USERS = {"github": "x-access-token", "gitlab": "oauth2", "bitbucket": "x-token-auth"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What is shown at the door: user and password (or token), or an SSH key."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ssh_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    known_hosts: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Which addresses may be used."""

    allow_http: bool = False
    file_roots: tuple[Path, ...] = ()
    private_hosts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A repository that can be fetched from. `url` holds no credentials.

    `hosts_file` is where keys of hosts that are accepted at first use are kept; without
    `private_hosts` only addresses of the public network may be connected to.
    """

    url: str
    scheme: str
    host: str
    path: str
    port: int | None = None
    credentials: Credentials = Credentials()
    ca_file: str | None = None
    ca_text: str | None = field(default=None, repr=False)
    client_cert: str | None = None
    cert_text: str | None = field(default=None, repr=False)
    insecure: bool = False
    proxy: str | None = field(default=None, repr=False)
    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    hosts_file: Path | None = None
    private_hosts: bool = True


def remote_of(
    url: str,
    credentials: Credentials | None = None,
    *,
    rules: Rules | None = None,
    token: str | None = None,
    ca_file: str | None = None,
    client_cert: str | None = None,
    insecure: bool = False,
    proxy: str | None = None,
    connect_seconds: float = 10.0,
    read_seconds: float = 30.0,
    hosts_file: Path | None = None,
) -> Remote:
    """Read an address; raises `GitTrouble` (GIT_ADDRESS) for one that is not allowed.

    `token` is a password whose user name depends on the host, as the forges want it.
    """
    given, allowed = credentials or Credentials(), rules or Rules()
    split = _split(url)
    _allow(split, allowed)
    if token is not None:
        given = Credentials(username=given.username or token_user(split.host), password=token)
    elif given.password is None and split.password is not None:
        given = Credentials(username=split.username, password=split.password)
    elif given.username is None and split.username is not None:
        given = Credentials(
            username=split.username,
            password=given.password,
            ssh_key=given.ssh_key,
            passphrase=given.passphrase,
            known_hosts=given.known_hosts,
        )
    return Remote(
        url=split.url,
        scheme=split.scheme,
        host=split.host,
        path=split.path,
        port=split.port,
        credentials=given,
        ca_file=ca_file,
        client_cert=client_cert,
        insecure=insecure,
        proxy=proxy,
        connect_seconds=connect_seconds,
        read_seconds=read_seconds,
        hosts_file=hosts_file,
        private_hosts=allowed.private_hosts,
    )


def stripped(url: str) -> str:
    """The address without user and password, as it may be stored and shown."""
    try:
        return _split(url).url
    except GitTrouble:
        return re.sub(r"//[^/@]*@", "//", url)


def token_user(host: str) -> str:
    """The user name that goes with a token on a forge."""
    return next((user for name, user in _TOKEN_USERS.items() if name in host), "git")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    url: str
    scheme: str
    host: str = ""
    path: str = ""
    port: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def _split(url: str) -> _Split:
    text = url.strip()
    if not text or text.startswith("-") or "::" in text or any(ord(c) < 33 for c in text):
        raise _refused(text, "is no address of a repository")
    if "://" not in text:
        scp = _SCP.fullmatch(text)
        if scp is None:
            raise _refused(text, "has no scheme; use https://, ssh://, user@host:path or file://")
        return _ssh(text, scp["host"], scp["path"], None, scp["user"])
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _refused(text, "is not a valid address") from None
    host = parts.hostname or ""
    username = unquote(parts.username) if parts.username else None
    if parts.scheme == "ssh":
        return _ssh(text, host, parts.path, port, username)
    if parts.scheme == "file":
        return _Split(url=text, scheme="file", path=unquote(parts.path), host=host)
    if parts.scheme not in ("https", "http"):
        raise _refused(text, "has a scheme that is not https, http, ssh or file")
    if not host:
        raise _refused(text, "names no host")
    netloc = parts.netloc.rpartition("@")[2]
    return _Split(
        url=urlunsplit((parts.scheme, netloc, parts.path, "", "")),
        scheme=parts.scheme,
        host=host,
        path=parts.path,
        port=port,
        username=username,
        password=unquote(parts.password) if parts.password else None,
    )


def _ssh(text: str, host: str, path: str, port: int | None, username: str | None) -> _Split:
    if not host or host.startswith("-") or path.startswith("-") or path.strip("/") == "":
        raise _refused(text, "names no host and path")
    if username is not None and username.startswith("-"):
        raise _refused(text, "has a user name that starts with a dash")
    password_free = re.sub(r"^(ssh://[^/@:]*):[^/@]*@", r"\1@", text)
    return _Split(
        url=password_free, scheme="ssh", host=host, path=path, port=port, username=username
    )


def _allow(split: _Split, rules: Rules) -> None:
    if split.scheme == "http" and not rules.allow_http and not loopback(split.host):
        raise _refused(split.url, "is not encrypted; use https, or set `allowHttp` for the source")
    if split.scheme == "file":
        if split.host not in ("", "localhost"):
            raise _refused(split.url, "is a file on another host")
        _below_roots(split, rules.file_roots)


def _below_roots(split: _Split, roots: Sequence[Path]) -> None:
    path = Path(split.path).resolve()
    if not any(path.is_relative_to(root.resolve()) for root in roots):
        raise _refused(split.url, "is not below a folder of `git.fileRoots`")


def loopback(host: str) -> bool:
    """Whether a host name is this machine's own."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refused(url: str, why: str) -> GitTrouble:
    shown = re.sub(r"//[^/@]*@", "//", url)[:200]
    return GitTrouble(GIT_ADDRESS, f"{shown!r} {why}")
