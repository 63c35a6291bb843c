"""Which Docker daemon a runner uses, whether it answers, and what tasks may ask of it.

A daemon gives whoever speaks to it the rights of root, so what reaches beyond the container
(folders of the machine, its network, its devices) is refused until an administrator allows it by
name, and a socket of ours never gets into a container at all.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

CONNECT_SECONDS = 1.0
PLAIN_PORT, TLS_PORT = 2375, 2376
FAULTS = (OSError, ValueError, http.client.HTTPException)
FORWARD = (
    "ssh:// is not spoken here: forward the socket with `ssh -nNT -L "
    "/run/remote-docker.sock:/var/run/docker.sock HOST` and name unix:///run/remote-docker.sock"
)
SOCKETS = ("unix:///var/run/docker.sock", "unix:///dind/docker.sock")
"""Where the daemon of this machine, or of a container beside this one, listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerAccess:
    """The settings about Docker.

    `hosts` are tried in order; `allow` names properties of the task runner that reach beyond the
    container; `private` are folders that no container ever sees; `certificates` is the folder of
    `ca.pem`, `cert.pem` and `key.pem` for a daemon behind TLS. `patience` is how many seconds a
    daemon may be out of reach before a job gives its container up; `runner` is who starts
    containers, so that no runner tidies up after itself while it works.
    """

    enabled: bool = True
    hosts: tuple[str, ...] = SOCKETS
    allow: frozenset[str] = frozenset()
    private: tuple[Path, ...] = ()
    certificates: Path | None = None
    patience: float = 60.0
    runner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """A daemon that has answered, and the version of the API that it speaks."""

    host: str
    version: str
    certificates: Path | None = None
    patience: float = 60.0
    runner: str = ""


def hosts_of(environment: Mapping[str, str], user: int) -> tuple[str, ...]:
    """Where a daemon may be: `DOCKER_HOST` and nowhere else, or the usual sockets.

    The sockets are those of Docker, of rootless Docker and of Podman, in this order.
    """
    named = environment.get("DOCKER_HOST")
    if named:
        return (named,)
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{user}"
    home = environment.get("HOME")
    desktop = (f"unix://{home}/.docker/run/docker.sock",) if home else ()
    return (
        *SOCKETS,
        f"unix://{runtime}/docker.sock",
        *desktop,
        f"unix://{runtime}/podman/podman.sock",
        *(("unix:///run/podman/podman.sock",) if user == 0 else ()),
    )


def certificates_of(environment: Mapping[str, str]) -> Path | None:
    """The folder with certificates that the variables of Docker's own client name."""
    folder = environment.get("DOCKER_CERT_PATH")
    if folder:
        return Path(folder)
    home = environment.get("HOME")
    return Path(home, ".docker") if environment.get("DOCKER_TLS_VERIFY") and home else None


def find_daemon(access: DockerAccess, host: str | None = None) -> Daemon | None:
    """The first daemon that answers, or the one at `host` when it does."""
    for address in (host,) if host else access.hosts:
        try:
            version = _ping(address, access.certificates)
        except FAULTS:
            continue
        if version is not None:
            return Daemon(
                host=address,
                version=version,
                certificates=access.certificates,
                patience=access.patience,
                runner=access.runner,
            )
    return None


def troubles(access: DockerAccess, host: str | None = None) -> str:
    """Why no daemon answers, by address; a usual place where nothing is goes without saying."""
    found: list[str] = []
    for address in (host,) if host else access.hosts:
        try:
            if _ping(address, access.certificates) is None:
                found.append(f"{address}: what answers there is no Docker daemon")
        except FileNotFoundError:
            if host or len(access.hosts) == 1:
                found.append(f"{address}: there is no such socket")
        except PermissionError:
            found.append(
                f"{address}: the user of the service may not use this socket, add it to its group"
            )
        except FAULTS as error:
            found.append(f"{address}: {error}")
    return "; ".join(found)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=CONNECT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(CONNECT_SECONDS)
        self.sock.connect(self._path)


def _ping(address: str, certificates: Path | None) -> str | None:
    """The version of the API behind an address, None when something else answers there."""
    connection = _connection(address, certificates)
    try:
        connection.request("GET", "/_ping")
        answer = connection.getresponse()
        return answer.headers.get("Api-Version") if answer.status < 400 else None
    finally:
        connection.close()


def _connection(address: str, certificates: Path | None) -> http.client.HTTPConnection:
    parts = urlsplit(address)
    if parts.scheme == "unix":
        if not os.path.exists(parts.path):  # noqa: PTH110 - asked for each script task
            raise FileNotFoundError(parts.path)
        return _UnixConnection(parts.path)
    if parts.scheme == "ssh":
        raise ValueError(FORWARD)
    if parts.scheme not in {"tcp", "http", "https"}:
        raise ValueError("a daemon is at unix://, tcp:// or https://")
    host = parts.hostname or "localhost"
    if certificates is None and parts.scheme != "https":
        port = parts.port or PLAIN_PORT
        return http.client.HTTPConnection(host, port, timeout=CONNECT_SECONDS)
    context = ssl.create_default_context(cafile=_file(certificates, "ca.pem"))
    own = _file(certificates, "cert.pem")
    if own is not None:
        context.load_cert_chain(own, _file(certificates, "key.pem"))
    port = parts.port or TLS_PORT
    return http.client.HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=context)


def _file(folder: Path | None, name: str) -> str | None:
    path = folder / name if folder is not None else None
    return str(path) if path is not None and path.exists() else None
