"""The wire: dulwich clients with time-outs, credentials for one origin only, and no retries.

Retrying is the business of who polls, so a connection is tried once. A redirect is followed three
times, never from https to http, and credentials go to the origin that they were given for, nowhere
else.
"""

from __future__ import annotations

import os
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3
from dulwich.client import (
    GitClient,
    HttpGitClient,
    LocalGitClient,
    SSHGitClient,
    SSHVendor,
    SubprocessWrapper,
)
from urllib3.util import Retry, Timeout, make_headers, parse_url

from penstock_runner.git.exceptions import trouble_of
from penstock_runner.git.remote import Remote
from penstock_runner.git.trouble import GIT_AUTH, GIT_NETWORK, GitTrouble

AGENT = "git/penstock"
_HEADER = "authorization"


@contextmanager
def connected(remote: Remote) -> Iterator[tuple[GitClient, str]]:
    """A client for the remote and the path to ask it for; trouble comes out as `GitTrouble`."""
    try:
        if remote.scheme == "ssh":
            with _key_file(remote) as options:
                yield _ssh_client(remote, options), remote.path
        elif remote.scheme == "file":
            yield LocalGitClient(quiet=True), remote.path
        else:
            pool = _pool(remote)
            try:
                yield HttpGitClient(remote.url, pool_manager=pool, quiet=True), remote.path
            finally:
                pool.clear()
    except GitTrouble:
        raise
    except Exception as error:
        trouble = trouble_of(error, remote.url)
        if trouble is None:
            raise
        raise trouble from None


def _pool(remote: Remote) -> urllib3.PoolManager:
    # Left to itself, urllib3 would sleep for as long as a busy host asks.
    retries = Retry(
        total=3,
        connect=0,
        read=0,
        status=0,
        other=0,
        redirect=3,
        respect_retry_after_header=False,
    )
    timeout = Timeout(connect=remote.connect_seconds, read=remote.read_seconds)
    options: dict[str, Any] = {"timeout": timeout, "retries": retries, "maxsize": 1}
    if remote.scheme == "https":
        options["ssl_context"] = _tls(remote)
    if remote.proxy and remote.proxy != "none":
        return _GuardedProxy(_Guard(remote), proxy_url=remote.proxy, **options)
    return _GuardedPool(_Guard(remote), **options)


def _tls(remote: Remote) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=remote.ca_file)
    if remote.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _Guard:
    """Credentials for requests of the remote's own origin only, and no way out of https."""

    def __init__(self, remote: Remote) -> None:
        self._origin = _origin(remote.url)
        self._authorization = _authorization(remote)

    def headers(self, url: str, given: Mapping[str, str] | None) -> dict[str, str]:
        """The headers for one request: the first, or one that a redirect asks for."""
        origin = _origin(url)
        if self._origin[0] == "https" and origin[0] != "https":
            raise GitTrouble(GIT_NETWORK, f"{self._origin[1]} redirects to an unencrypted address")
        kept = {name: value for name, value in (given or {}).items() if name.lower() != _HEADER}
        if origin == self._origin:
            kept.update(self._authorization)
        return kept


class _GuardedPool(urllib3.PoolManager):
    def __init__(self, guard: _Guard, **options: Any) -> None:
        super().__init__(headers={"User-Agent": AGENT}, **options)
        self._guard = guard

    def urlopen(  # type: ignore[override]
        self,
        method: str,
        url: str,
        redirect: bool = True,  # noqa: FBT001, FBT002 - urllib3's own signature
        **kw: Any,
    ) -> Any:
        kw["headers"] = self._guard.headers(url, kw.get("headers"))
        return _unless_busy(super().urlopen(method, url, redirect=redirect, **kw), url)


class _GuardedProxy(urllib3.ProxyManager):
    def __init__(self, guard: _Guard, **options: Any) -> None:
        super().__init__(headers={"User-Agent": AGENT}, **options)
        self._guard = guard

    def urlopen(  # type: ignore[override]
        self,
        method: str,
        url: str,
        redirect: bool = True,  # noqa: FBT001, FBT002 - urllib3's own signature
        **kw: Any,
    ) -> Any:
        kw["headers"] = self._guard.headers(url, kw.get("headers"))
        return _unless_busy(super().urlopen(method, url, redirect=redirect, **kw), url)


def _unless_busy(response: Any, url: str) -> Any:
    """The response, unless the host asks to be left alone for a while."""
    if response.status not in (429, 503):
        return response
    given = response.headers.get("Retry-After", "")
    message = f"{_origin(url)[1]} answers {response.status}: it has too much to do"
    wait = int(given) if given.isascii() and given.isdigit() and len(given) < 7 else None
    raise GitTrouble(GIT_NETWORK, message, retry_after=wait)


def _origin(url: str) -> tuple[str, str, int]:
    parts = parse_url(url)
    scheme = parts.scheme or ""
    return scheme, parts.host or "", parts.port or (443 if scheme == "https" else 80)


def _authorization(remote: Remote) -> Mapping[str, str]:
    known = remote.credentials
    if known.password is None and known.username is None:
        return {}
    return make_headers(basic_auth=f"{known.username or ''}:{known.password or ''}")


@contextmanager
def _key_file(remote: Remote) -> Iterator[list[str]]:
    """The options of `ssh` for this remote; its key and known hosts lie in private files."""
    known = remote.credentials
    if known.passphrase:
        raise GitTrouble(
            GIT_AUTH, "an SSH key with a passphrase cannot be used; give a deploy key without one"
        )
    with tempfile.TemporaryDirectory(prefix="penstock-ssh-") as folder:
        options = [
            *("-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"),
            *("-o", f"ConnectTimeout={max(1, int(remote.connect_seconds))}"),
            *("-o", "IdentitiesOnly=yes", "-o", "ServerAliveInterval=15"),
        ]
        if known.known_hosts:
            options += ["-o", f"UserKnownHostsFile={_private(folder, 'hosts', known.known_hosts)}"]
        if known.ssh_key:
            options += ["-i", _private(folder, "key", known.ssh_key.rstrip("\n") + "\n")]
        yield options


def _private(folder: str, name: str, text: str) -> str:
    path = Path(folder) / name
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return str(path)


def _ssh_client(remote: Remote, options: list[str]) -> SSHGitClient:
    return SSHGitClient(
        remote.host,
        port=remote.port,
        username=remote.credentials.username,
        vendor=_Ssh(options),
        quiet=True,
    )


class _Ssh(SSHVendor):
    """Runs the system's `ssh` with our options and nothing of the user's configuration."""

    def __init__(self, options: list[str]) -> None:
        self._options = options

    def run_command(
        self,
        host: str,
        command: bytes,
        username: str | None = None,
        port: int | None = None,
        password: str | None = None,  # noqa: ARG002
        key_filename: str | None = None,  # noqa: ARG002
        ssh_command: str | None = None,  # noqa: ARG002
        protocol_version: int | None = None,
    ) -> SubprocessWrapper:
        """Start the command on the host; dulwich talks to it over pipes."""
        arguments = ["ssh", "-x", *self._options]
        if port:
            arguments += ["-p", str(port)]
        version = 2 if protocol_version is None else protocol_version
        if version:
            arguments += ["-o", f"SetEnv=GIT_PROTOCOL=version={version}"]
        target = f"{username}@{host}" if username else host
        try:
            process = subprocess.Popen(  # noqa: S603 - no shell; host and options are checked
                [*arguments, "--", target, command.decode()],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError:
            raise GitTrouble(
                GIT_NETWORK, "there is no `ssh` program here; install OpenSSH or use https"
            ) from None
        return SubprocessWrapper(process)
