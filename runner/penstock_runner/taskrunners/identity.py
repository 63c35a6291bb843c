"""Being another user for a moment: to start a process, or to open a file.

The kernel forgets which signal a process wants when its parent dies whenever its user changes; here
it is told again.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1
PR_GET_PDEATHSIG = 2


@contextmanager
def become(user: int, group: int) -> Iterator[None]:
    """Be this user, so that a process that is started in here is nothing else.

    For root, in a process of one thread. `subprocess` can change the user of a child, but then it
    forks, which copies the tables of all our memory: five milliseconds more for each job.
    """
    groups = os.getgroups()
    with _still_told_of_parent():
        try:
            os.setgroups([])
            os.setresgid(group, group, 0)
            os.setresuid(user, user, 0)
            yield
        finally:
            os.setresuid(0, 0, 0)
            os.setresgid(0, 0, 0)
            os.setgroups(groups)


@contextmanager
def rights_of(user: int, group: int) -> Iterator[None]:
    """Open files with the rights of this user, in this thread alone.

    What a job has put in the way of a path, a link for instance, then leads nowhere that the job
    could not go itself.
    """
    with _still_told_of_parent():
        group_before = _libc.setfsgid(group)
        user_before = _libc.setfsuid(user)
        try:
            yield
        finally:
            _libc.setfsuid(user_before)
            _libc.setfsgid(group_before)


@contextmanager
def _still_told_of_parent() -> Iterator[None]:
    parent, wanted = os.getppid(), ctypes.c_int(0)
    _libc.prctl(PR_GET_PDEATHSIG, ctypes.byref(wanted), 0, 0, 0)
    try:
        yield
    finally:
        if wanted.value:
            _libc.prctl(PR_SET_PDEATHSIG, wanted.value, 0, 0, 0)
            if os.getppid() != parent:
                os.kill(os.getpid(), wanted.value)


_libc = ctypes.CDLL(None, use_errno=True)
