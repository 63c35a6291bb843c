"""What talks to the network runs as a user of its own, when the service runs as root.

The child enters the store's folder first, since the home around it is closed to all others, and
then becomes the user `penstock-git`; where there is none, a user without a name, or `nobody` for
`ssh`. Its answer is plain data on a pipe.
"""

from __future__ import annotations

import ctypes
import encodings.idna  # noqa: F401 - host names need it, and another user may not read Python's files
import json
import os
import pwd
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_runner.git.trouble import GIT_CORRUPT, GIT_TOO_BIG, GitTrouble

OWN = "penstock-git"
NOBODY = "nobody"
# A number that systems leave to nobody, so that no other process of the machine has it.
NAMELESS = 61_111
# The current directory by a name that needs no way through the folders above it.
ENTERED = Path("/proc/self/cwd")
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CAP_CHOWN, _CAP_SETGID, _CAP_SETUID = 0, 6, 7

Work = Callable[[Path], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A user of the system."""

    user: int
    group: int


def own_identity(*, named: bool = False) -> Identity | None:
    """Whom the network's side runs as; None when that is ourselves.

    A user without a name is nobody else's; `ssh` wants a `named` one. A container may have neither
    the right to change its user nor the numbers: then nothing is changed.
    """
    if os.geteuid() != 0 or not _may_change():
        return None
    found = [
        _entry(OWN),
        None if named else Identity(user=NAMELESS, group=NAMELESS),
        _entry(NOBODY),
    ]
    return next((one for one in found if one is not None and _is_mapped(one)), None)


def _entry(name: str) -> Identity | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Identity(user=entry.pw_uid, group=entry.pw_gid) if entry.pw_uid else None


def _may_change() -> bool:
    """Whether this process may give files away and change its user."""
    lines = Path("/proc/self/status").read_text().splitlines()
    held = next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
    return all(held >> right & 1 for right in (_CAP_CHOWN, _CAP_SETGID, _CAP_SETUID))


def _is_mapped(identity: Identity) -> bool:
    """Whether the numbers exist in this user namespace."""
    return _within("uid_map", identity.user) and _within("gid_map", identity.group)


def _within(name: str, number: int) -> bool:
    spans = [line.split() for line in (Path("/proc/self") / name).read_text().splitlines()]
    return any(int(first) <= number < int(first) + int(count) for first, _, count in spans)


def apart(work: Work, folder: Path, identity: Identity | None) -> dict[str, Any]:
    """Do something in a folder as another user; raises the `GitTrouble` that it met.

    Without another user it is done here. `work` is told how the folder is called there.
    """
    if identity is None:
        return work(folder)
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(readable)
        _be(identity, folder, work, writable)
    os.close(writable)
    with os.fdopen(readable, "rb") as answers:
        text = answers.read()
    _, status = os.waitpid(pid, 0)
    return _answer(text, os.waitstatus_to_exitcode(status))


def _be(identity: Identity, folder: Path, work: Work, writable: int) -> None:
    """Never returns: becomes the user, works, answers, ends."""
    try:
        os.chdir(folder)
        _become(identity)
        answer = _done(work)
        with os.fdopen(writable, "wb") as answers:
            answers.write(json.dumps(answer).encode())
        os._exit(0)
    except BaseException:  # noqa: BLE001 - nothing of the parent's may run in the child
        traceback.print_exc()
    finally:
        os._exit(1)


def _become(identity: Identity) -> None:
    os.setgroups([])
    os.setresgid(identity.group, identity.group, identity.group)
    os.setresuid(identity.user, identity.user, identity.user)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # A change of the user forgets this, so it comes last.
    end_with_parent()
    os.umask(0o077)


def end_with_parent() -> None:
    """Have the system kill this process when the one that made it has ended."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _done(work: Work) -> dict[str, Any]:
    try:
        return {"done": work(ENTERED)}
    except GitTrouble as trouble:
        return {
            "code": trouble.code,
            "message": trouble.message,
            "retry_after": trouble.retry_after,
        }
    except MemoryError:
        return {"code": GIT_TOO_BIG, "message": "fetching it takes too much memory"}


def _answer(text: bytes, status: int) -> dict[str, Any]:
    if status != 0 or not text:
        raise GitTrouble(GIT_CORRUPT, f"the fetch ended without an answer (status {status})")
    answer: dict[str, Any] = json.loads(text)
    if "done" in answer:
        done: dict[str, Any] = answer["done"]
        return done
    raise GitTrouble(answer["code"], answer["message"], retry_after=answer["retry_after"])
