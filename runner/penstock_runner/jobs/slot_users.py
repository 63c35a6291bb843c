"""A system user for each slot, so that jobs that run at once are strangers to one another.

One user for all would let a task read the workspace, the environment and the memory of another one,
and stop it. The users need no names: a number is enough for the kernel. Those that are taken unless
the settings say others lie between what people and services are given on usual systems.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Sequence

from penstock_runner.jobs import users
from penstock_runner.jobs.settings import RunAs

FIRST, LAST = 60_706, 61_183
_RANGE = re.compile(r"(\d{1,10})-(\d{1,10})")


def slot_users(asked: str | None, slots: int, *, skip: int = 0) -> tuple[RunAs, ...]:
    """The users of the slots, none when this process may not become them.

    `asked` is a range, `70000-70099`; a wrong one, or one that cannot be used, is a `UserRefused`.
    Without one, `skip` numbers belong to other runners.
    """
    numbers = _numbers(asked, slots, skip)
    if os.geteuid() != 0:
        if asked is not None:
            raise users.UserRefused("runner.uids: only root may run jobs as other users")
        return ()
    found = tuple(_user(number) for number in numbers)
    if found and all(users.may_become(one) for one in (found[0], found[-1])):
        return found
    if asked is not None:
        raise users.UserRefused(f"runner.uids: this process may not become the users {asked}")
    return ()


def _numbers(asked: str | None, slots: int, skip: int) -> Sequence[int]:
    if asked is None:
        numbers = range(FIRST + skip, LAST + 1)
        return numbers[:slots] if len(numbers) >= slots else ()
    match = _RANGE.fullmatch(asked.replace(" ", ""))
    if match is None or int(match[1]) < 1:
        raise users.UserRefused(f"runner.uids: {asked} is no range: write 70000-70099")
    numbers = range(int(match[1]), int(match[2]) + 1)
    if len(numbers) < slots:
        raise users.UserRefused(
            f"runner.uids: {asked} are {len(numbers)} users, and there are {slots} slots: each "
            "needs one of its own"
        )
    return numbers[:slots]


def _user(number: int) -> RunAs:
    try:
        known = pwd.getpwuid(number)
    except KeyError:
        return RunAs(user=number, group=number, name=str(number))
    return RunAs(user=number, group=known.pw_gid, name=known.pw_name)
