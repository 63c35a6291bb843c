"""The runners of this machine, from the settings: their folders, their labels, their user."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock_runner.jobs import users
from penstock_runner.jobs.settings import (
    Limits,
    RunAs,
    RunnerSettings,
    default_slots,
    pick_environment,
    pick_index_settings,
)
from penstock_runner.jobs.slot_users import slot_users
from penstock_runner.tasks.object_storage import ExtraMissing, require_extra
from penstock_server.app.containers import docker_access
from penstock_server.app.faults import CannotStart
from penstock_server.config import RunnerSection, Settings, Told
from penstock_server.config.storages import bucket

# So often a runner shows that it lives within the time after which it is given up.
BEATS = 4

log = logging.getLogger(__name__)


def runners_of(told: Told, port: int) -> dict[str, RunnerSettings]:
    """Each runner by the name of its process; raises `CannotStart`."""
    place = bucket(told.settings, told.environment)
    if place is not None:
        try:
            require_extra(place)
        except ExtraMissing as missing:
            raise CannotStart(str(missing)) from None
    first, *further = told.settings.all_runners
    found = {"runner": runner_settings(told, first, port)}
    for section in further:
        used = sum(len(one.slot_users) for one in found.values())
        found[f"runner-{section.name}"] = runner_settings(
            told, section, port, section.name, uids_used=used
        )
    return found


def runner_settings(
    told: Told,
    section: RunnerSection,
    port: int,
    apart: str | None = None,
    *,
    uids_used: int = 0,
) -> RunnerSettings:
    """One runner; `apart` names the folder of workspaces that it has for itself.

    `uids_used` users belong to other runners.
    """
    settings = told.settings
    home = settings.home.absolute()
    environment = pick_environment(
        told.environment, section.pass_env, pass_proxy=section.pass_proxy
    )
    slots = section.slots or default_slots(os.cpu_count())
    whom = _whom(told, section, slots, uids_used)
    if whom.user is not None:
        environment["PATH"] = users.reachable_path(environment["PATH"], whom.user)
        _tell_of_users(whom.user, whom.slot_users, environment["PATH"])
    workspaces = whom.workspaces
    if apart is not None:
        workspaces = workspaces.with_name(f"{workspaces.name}-{apart}")
    return RunnerSettings(
        name=section.name,
        home=home,
        workspaces=workspaces,
        storage=Path(settings.storage_root),
        bucket=bucket(settings, told.environment),
        cache=whom.cache,
        slots=slots,
        limits=Limits(
            drain=section.drain.total_seconds(), beat=section.lease.total_seconds() / BEATS
        ),
        labels=section.labels,
        namespaces=section.namespaces,
        protected=section.protected,
        secrets=told.secrets,
        envs=told.envs,
        globals=settings.globals,
        environment=environment,
        index_settings=pick_index_settings(told.environment),
        run_as=whom.user,
        slot_users=whom.slot_users,
        url=_address(settings, port),
        folders=section.folders,
        task_runner=section.default,
        docker=docker_access(
            settings, told.environment, private=(home, Path(settings.storage_root), workspaces)
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Whom:
    """Whom the tasks of a runner run as, and where those may go."""

    user: RunAs | None
    slot_users: tuple[RunAs, ...]
    workspaces: Path
    cache: Path


def _whom(told: Told, section: RunnerSection, slots: int, uids_used: int) -> _Whom:
    home = told.settings.home.absolute()
    workspaces, cache = Path(section.workspaces or told.settings.workspaces), home / "cache"
    try:
        own = slot_users(section.uids, slots, skip=uids_used) if section.user is None else ()
        user = own[0] if own else users.job_user(section.user)
        if user is not None:
            workspaces, cache = _open_places(section, home, user)
    except users.UserRefused as refused:
        raise CannotStart(str(refused)) from None
    if user is None and os.geteuid() == 0 and section.user is None:
        log.warning("tasks run as root: this process may not change its user (CAP_SETUID)")
    return _Whom(user=user, slot_users=own, workspaces=workspaces, cache=cache)


def _tell_of_users(user: RunAs, own: Sequence[RunAs], search_path: str) -> None:
    if len(own) > 1:
        log.info("the processes of tasks run as users %s to %s", own[0].name, own[-1].name)
    else:
        log.info("the processes of tasks run as user %s", user.name)
    if users.reaches(user, Path(sys.executable).resolve().parent):
        return
    python = shutil.which("python3", path=search_path)
    log.warning(
        "the Python of this service, %s, is closed to the user of tasks: they find %s. Install "
        "Penstock with a Python outside of closed folders (below /opt, for instance), or set "
        "runner.user to root to let tasks run as the service",
        Path(sys.executable).resolve(),
        python or "no Python on PATH",
    )


def _open_places(section: RunnerSection, home: Path, user: RunAs) -> tuple[Path, Path]:
    """Where a user who cannot enter the home has workspaces and caches."""
    if section.workspaces is None:
        ground = users.grounds(home, user)
        return ground / "workspaces", ground / "cache"
    workspaces = section.workspaces.absolute()
    workspaces.mkdir(mode=0o711, parents=True, exist_ok=True)
    if not users.reaches(user, workspaces.parent):
        raise users.UserRefused(
            f"runner.workspaces: user {user.name}, as whom tasks run, cannot reach {workspaces}; "
            "choose another folder, or set runner.user to root"
        )
    return workspaces, workspaces.with_name(f"{workspaces.name}-cache")


def _address(settings: Settings, port: int) -> str:
    return settings.url or f"http://{settings.host}:{port}"
