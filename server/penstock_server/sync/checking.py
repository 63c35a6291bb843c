"""What stands between this machine and a repository, step by step: the side of the network.

Each step is only tried when those before it are fine, and a step that fails says what to change.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import urllib3.exceptions
from urllib3.util import parse_url

from penstock_runner.git.apart import apart, own_identity
from penstock_runner.git.copies import copy_of
from penstock_runner.git.remote import Remote
from penstock_runner.git.store import BareStore, FolderMissing, Seen, Wanted
from penstock_runner.git.transport import NO_PROXY, pool_of, with_files
from penstock_runner.git.trouble import (
    GIT_AUTH,
    GIT_EMPTY,
    GIT_HOST_KEY,
    GIT_NOT_FOUND,
    GIT_REF_NOT_FOUND,
    GIT_TLS,
    GitTrouble,
)
from penstock_server.sync.look import Message, remote_for

OK, WARNING, FAILED, SKIPPED = "ok", "warning", "failed", "skipped"
STEPS = ("address", "dns", "connect", "trust", "auth", "ref", "path")
_FAR_OFF_SECONDS = 300
# Which step it is that failed, by the code of the trouble that asking for refs has met.
_STEP_OF = {
    GIT_TLS: "trust",
    GIT_HOST_KEY: "trust",
    GIT_AUTH: "auth",
    GIT_NOT_FOUND: "auth",
    GIT_REF_NOT_FOUND: "ref",
    GIT_EMPTY: "ref",
}
_PORTS = {"https": 443, "http": 80, "ssh": 22}


def check(message: Mapping[str, Any], store: Path) -> Message:
    """Answer a request: `checked`, with the steps in their order."""
    steps = _Steps()
    source = message["source"]
    try:
        remote = remote_for(source)
        steps.fine("address", remote.url)
        _reach(remote, steps)
        if not steps.failed:
            _ask(remote, source, store, steps)
        if remote.scheme in ("http", "https") and not steps.failed:
            _clock(remote, datetime.fromisoformat(message["now"]), steps)
    except GitTrouble as trouble:
        steps.bad("address", trouble.message)
    steps.skip_rest()
    return {"type": "checked", "source": source["id"], "checks": steps.found}


class _Steps:
    def __init__(self) -> None:
        self.found: list[dict[str, str]] = []
        self.failed = False

    def fine(self, name: str, text: str) -> None:
        self.found.append(step(name, OK, text))

    def bad(self, name: str, text: str) -> None:
        self.failed = True
        self.found.append(step(name, FAILED, text))

    def skip_rest(self) -> None:
        known = {one["name"] for one in self.found}
        rest = [step(name, SKIPPED, "not reached") for name in STEPS if name not in known]
        self.found += rest


def step(name: str, status: str, message: str) -> dict[str, str]:
    """One step as plain data."""
    return {"name": name, "status": status, "message": message}


def _reach(remote: Remote, steps: _Steps) -> None:
    """Whether the host (or the proxy before it) has an address and takes connections."""
    if remote.scheme == "file":
        steps.fine("dns", "a folder of this machine")
        steps.fine("connect", "a folder of this machine")
        return
    host, port, kind = remote.host, remote.port or _PORTS[remote.scheme], "the host"
    if remote.proxy and remote.proxy != NO_PROXY and remote.scheme != "ssh":
        parts = parse_url(remote.proxy)
        host, port, kind = parts.host or "", parts.port or 80, "the proxy"
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError as error:
        why = error.strerror or str(error)
        way = "Check the name, and that this machine can ask for names."
        steps.bad("dns", f"{kind} {host} has no address: {why}. {way}")
        return
    addresses = ", ".join(dict.fromkeys(str(one[4][0]) for one in found))
    steps.fine("dns", f"{kind} {host} is at {addresses}")
    try:
        socket.create_connection((host.strip("[]"), port), remote.connect_seconds).close()
    except OSError as error:
        why = error.strerror or str(error)
        way = "Check the port, and that no firewall is between; `proxy` names a way around."
        steps.bad("connect", f"{kind} {host} takes no connection at port {port}: {why}. {way}")
        return
    steps.fine("connect", f"{kind} {host} takes connections at port {port}")


def _ask(remote: Remote, source: Mapping[str, Any], store: Path, steps: _Steps) -> None:
    """Whether the host is trusted, lets us in, has the ref, and the ref the folder."""
    copy = copy_of(remote, store)
    try:
        seen = copy.look(Wanted(kind=source["ref_kind"], name=source["ref"]))
    except GitTrouble as trouble:
        at = _STEP_OF.get(trouble.code, "connect")
        for name in ("trust", "auth", "ref")[: ("connect", "trust", "auth", "ref").index(at)]:
            if name != at:
                steps.fine(name, _said_of(name, remote))
        steps.bad(at, trouble.message)
        return
    for name in ("trust", "auth"):
        steps.fine(name, _said_of(name, remote))
    steps.fine("ref", f"{seen.ref} is at {seen.commit[:7]}")
    try:
        limit = source["limits"]["blob_bytes"]
        copy.fetch(Wanted(kind="commit", name=seen.commit), applied=None, blob_limit=limit)
        steps.fine("path", _listed(store, seen, source.get("path") or ""))
    except FolderMissing as missing:
        steps.bad("path", f"{missing}. Set `path` to a folder of the repository.")
    except GitTrouble as trouble:
        steps.bad("path", trouble.message)


def _said_of(name: str, remote: Remote) -> str:
    if remote.scheme == "file":
        return "a folder of this machine"
    if name == "auth":
        known = remote.credentials
        return "let in" if known.password or known.ssh_key else "let in without credentials"
    if remote.scheme == "http":
        return "not encrypted: anybody between can read and change what is sent"
    if remote.insecure:
        return "NOT CHECKED, since `tls.insecureSkipVerify` is set"
    return "the host key is known" if remote.scheme == "ssh" else "the certificate is trusted"


def _listed(store: Path, seen: Seen, folder: str) -> str:
    with BareStore(store) as opened:
        count = len(opened.tree(seen.commit, folder).entries)
    return f"{folder or 'the root'} holds {count} files"


def _clock(remote: Remote, now: datetime, steps: _Steps) -> None:
    """Whether this machine and the host agree on the time, which signed webhooks need."""
    ready = replace(with_files(remote), url=f"{remote.url}/info/refs")

    def work(_: Path) -> dict[str, Any]:
        pool = pool_of(ready)
        try:
            answer = pool.urlopen("HEAD", ready.url, preload_content=False)
        except (urllib3.exceptions.HTTPError, OSError):
            return {"date": ""}
        finally:
            pool.clear()
        return {"date": answer.headers.get("Date", "")}

    try:
        there = parsedate_to_datetime(apart(work, Path("/"), own_identity())["date"])
        off = round((now - there).total_seconds())
    except (ValueError, TypeError, GitTrouble):
        return
    if abs(off) > _FAR_OFF_SECONDS:
        side = "ahead of" if off > 0 else "behind"
        told = f"this machine is {abs(off)} seconds {side} {remote.host}. Set its clock: signed"
        steps.found.append(step("clock", WARNING, f"{told} webhooks and certificates need it."))
    else:
        steps.fine("clock", f"within {abs(off)} seconds of {remote.host}")
