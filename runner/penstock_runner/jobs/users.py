"""Which system user the processes of jobs get, and where that user may go.

A service that is root runs what flows say as somebody else, who can read neither the home nor the
memory and the environment of our processes.
"""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import tempfile
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from penstock_runner.jobs.settings import RunAs
from penstock_runner.jobs.spares import spare_root
from penstock_runner.taskrunners import identity

NOBODY = "nobody"
# What the kernel itself shows for a user that has no name here.
OVERFLOW = 65534
GROUNDS = Path("/var/cache/penstock")
ELSEWHERE = "penstock-jobs-"
_OTHERS, _GROUP, _OWNER = 0o001, 0o010, 0o100


class UserRefused(Exception):
    """Jobs cannot run as this user; the message says why and what to do."""


def job_user(asked: str | None) -> RunAs | None:
    """The user of jobs: the one asked for, else nobody; None is the user of this process."""
    ours = os.geteuid()
    if asked is None:
        chosen = _nobody() if ours == 0 else None
        return chosen if chosen is not None and may_become(chosen) else None
    chosen = _named(asked)
    if chosen.user == ours:
        return None
    if ours != 0:
        raise UserRefused(
            f"runner.user: only root may run jobs as another user, and this service is user {ours}"
        )
    if not may_become(chosen):
        raise UserRefused(
            f"runner.user: this process may not become {asked}: it lacks the right to change its "
            "user (CAP_SETUID, CAP_SETGID); give it that, or set runner.user to root"
        )
    return chosen


def _nobody() -> RunAs:
    try:
        found = pwd.getpwnam(NOBODY)
    except KeyError:
        return RunAs(user=OVERFLOW, group=OVERFLOW, name=str(OVERFLOW))
    return RunAs(user=found.pw_uid, group=found.pw_gid, name=NOBODY)


def _named(asked: str) -> RunAs:
    user, _, group = asked.partition(":")
    try:
        if user.isdecimal():
            number = int(user)
            try:
                primary = pwd.getpwuid(number).pw_gid
            except KeyError:
                primary = number
        else:
            found = pwd.getpwnam(user)
            number, primary = found.pw_uid, found.pw_gid
        if group:
            primary = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise UserRefused(f"runner.user: there is no user or group {asked} here") from None
    return RunAs(user=number, group=primary, name=user)


def may_become(user: RunAs) -> bool:
    """Whether the system lets us; tried in a child, since there is no way back."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(user.group, user.group, user.group)
            os.setresuid(user.user, user.user, user.user)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def reaches(user: RunAs, folder: Path) -> bool:
    """Whether the user may go into a folder, by the rights of it and of all above it."""
    path = folder.absolute()
    return all(_may_enter(user, part) for part in (path, *path.parents))


def _may_enter(user: RunAs, folder: Path) -> bool:
    try:
        facts = folder.stat()
    except OSError:
        return False
    if facts.st_uid == user.user:
        return bool(facts.st_mode & _OWNER)
    return bool(facts.st_mode & (_GROUP if facts.st_gid == user.group else _OTHERS))


def reachable_path(search_path: str, user: RunAs) -> str:
    """The folders of a PATH whose programs the user may start."""
    return ":".join(part for part in search_path.split(":") if part and _usable(user, Path(part)))


def _usable(user: RunAs, folder: Path) -> bool:
    """Whether the folder is open, and not a virtual environment of a Python that is closed."""
    return reaches(user, folder) and all(
        reaches(user, python.resolve().parent)
        for python in (folder / "python", folder / "python3")
        if python.exists()
    )


def grounds(home: Path, user: RunAs) -> Path:
    """A folder outside of the home, which stays closed, for the workspaces and caches of jobs."""
    mark = hashlib.sha256(os.fsencode(home.absolute())).hexdigest()[:16]
    for top in (GROUNDS, Path(tempfile.gettempdir()) / f"{ELSEWHERE}{os.geteuid()}"):
        folder = top / mark
        try:
            for part in (top, folder):
                part.mkdir(mode=0o711, parents=True, exist_ok=True)
                if part.is_symlink() or part.stat().st_uid != os.geteuid():
                    raise PermissionError
                part.chmod(0o711)
        except OSError:
            continue
        if reaches(user, folder):
            return folder
    raise UserRefused(
        f"there is no folder for the workspaces of user {user.name}: {GROUNDS} cannot be made; set "
        "runner.workspaces to a folder that this user can reach, or runner.user to root"
    )


def leave_grounds(workspaces: Path) -> None:
    """Remove the folder that `grounds` made, when nothing is kept in it."""
    top = workspaces.parent.parent
    if top == GROUNDS or top.name.startswith(ELSEWHERE):
        with suppress(OSError):
            spare_root(workspaces).rmdir()
            workspaces.rmdir()
            workspaces.parent.rmdir()


def home_of(user: RunAs | None) -> str | None:
    """The home of the user of tasks, None when it has none that is there."""
    try:
        home = pwd.getpwuid(os.geteuid() if user is None else user.user).pw_dir
    except KeyError:
        return None
    return home if Path(home).is_dir() else None


def with_rights_of(user: RunAs | None) -> AbstractContextManager[None]:
    """Open files with the rights of this user; None changes nothing."""
    return nullcontext() if user is None else identity.rights_of(user.user, user.group)
