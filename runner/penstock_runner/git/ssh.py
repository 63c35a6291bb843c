"""Git over the system's `ssh`, with our options and nothing of anybody's configuration.

The key, its passphrase and the known hosts lie in private files for as long as a connection is
open; the arguments and the environment of `ssh` hold no secret.
"""

from __future__ import annotations

import ipaddress
import os
import shlex
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dulwich.client import SSHGitClient, SSHVendor, SubprocessWrapper

from penstock_runner.git.hostkeys import ACCEPT_NEW, published
from penstock_runner.git.remote import Remote
from penstock_runner.git.trouble import GIT_ADDRESS, GIT_NETWORK, GitTrouble, message_for

_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"}
_ASKED = (
    *("-x", "-F", "none"),
    *("-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "ForwardAgent=no"),
    *("-o", "PasswordAuthentication=no", "-o", "KbdInteractiveAuthentication=no"),
    *("-o", "ServerAliveInterval=15", "-o", "UpdateHostKeys=no", "-o", "PermitLocalCommand=no"),
)


@contextmanager
def ssh_client(remote: Remote) -> Iterator[SSHGitClient]:
    """A client that starts `ssh` for each request."""
    with tempfile.TemporaryDirectory(prefix="penstock-ssh-") as folder:
        options = [*_options(remote, Path(folder)), *_pinned(remote)]
        yield SSHGitClient(
            remote.host,
            port=remote.port,
            username=remote.credentials.username,
            vendor=_Ssh(options, {**_ENVIRONMENT, **_asking(remote, Path(folder))}),
            quiet=True,
        )


def _options(remote: Remote, folder: Path) -> list[str]:
    known = remote.credentials
    accept = (known.known_hosts or "").strip() == ACCEPT_NEW
    given = "" if accept else (known.known_hosts or "")
    files = [_private(folder, "hosts", published() + given.rstrip("\n") + "\n")]
    if accept and remote.hosts_file is not None:
        # New keys are written to the first file.
        files.insert(0, str(remote.hosts_file))
    options = [
        *_ASKED,
        *("-o", f"BatchMode={'no' if known.passphrase else 'yes'}"),
        *("-o", f"StrictHostKeyChecking={ACCEPT_NEW if accept else 'yes'}"),
        *("-o", f"UserKnownHostsFile={' '.join(files)}"),
        *("-o", f"ConnectTimeout={max(1, int(remote.connect_seconds))}"),
    ]
    if known.ssh_key:
        options += ["-i", _private(folder, "key", known.ssh_key.rstrip("\n") + "\n")]
    return options


def _asking(remote: Remote, folder: Path) -> Mapping[str, str]:
    """Who tells `ssh` the passphrase: a program that shows a private file."""
    passphrase = remote.credentials.passphrase
    if not passphrase:
        return {}
    said = _private(folder, "passphrase", passphrase + "\n")
    program = _private(folder, "ask", f"#!/bin/sh\nexec cat {shlex.quote(said)}\n")
    Path(program).chmod(0o700)
    return {"SSH_ASKPASS": program, "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":none"}


def _pinned(remote: Remote) -> list[str]:
    """Where only public hosts are allowed: the address that was found to be one, and no other."""
    if remote.private_hosts:
        return []
    try:
        found = socket.getaddrinfo(remote.host, remote.port or 22, type=socket.SOCK_STREAM)
    except OSError as error:
        reason = error.strerror or str(error)
        raise GitTrouble(GIT_NETWORK, message_for(GIT_NETWORK, remote.url, reason)) from None
    address = str(found[0][4][0])
    if not ipaddress.ip_address(address.partition("%")[0]).is_global:
        raise GitTrouble(
            GIT_ADDRESS,
            f"{remote.url} is at {address}, an address of a private network; set "
            "`git.allowPrivate` to read repositories of one",
        )
    name = remote.host if remote.port in (None, 22) else f"[{remote.host}]:{remote.port}"
    return ["-o", f"HostName={address}", "-o", f"HostKeyAlias={name}"]


def _private(folder: Path, name: str, text: str) -> str:
    path = folder / name
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return str(path)


class _Ssh(SSHVendor):
    """Runs the system's `ssh`."""

    def __init__(self, options: list[str], environment: Mapping[str, str]) -> None:
        self._options = options
        self._environment = environment

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
        arguments = ["ssh", *self._options]
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
                env=dict(self._environment),
            )
        except FileNotFoundError:
            raise GitTrouble(
                GIT_NETWORK, "there is no `ssh` program here; install OpenSSH or use https"
            ) from None
        return SubprocessWrapper(process)
