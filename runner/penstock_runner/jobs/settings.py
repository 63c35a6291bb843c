"""What a runner is told when it starts: folders, slots, secrets, limits."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from penstock_runner.taskrunners.docker_access import DockerAccess
from penstock_runner.tasks.object_storage import Bucket

ALWAYS_PASSED = ("PATH", "LANG", "TZ")
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
OF_THE_RUNNER = (
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_USER",
    "PIP_REQUIRE_VIRTUALENV",
    "UV_SYSTEM_PYTHON",
)
LONGEST_GRACE = 300.0
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of a runner and its jobs; sizes in bytes, times in seconds.

    A runner that is drained waits for `drain` for its jobs, one that has to end soon for `leave`,
    then for `leave_grace` for those it stops. It shows every `beat` that it lives.
    """

    kill_grace: float = 10.0
    answer_grace: float = 5.0
    evaluate: float = 10.0
    log_bytes: int = 50 * 1024 * 1024
    line_bytes: int = 64 * 1024
    output_bytes: int = 1024 * 1024
    summary_bytes: int = 1024 * 1024
    jobs_per_worker: int = 200
    idle_worker: float = 60.0
    call: float = 60.0
    drain: float = 60.0
    leave: float = 1.0
    leave_grace: float = 2.0
    beat: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """How a job is asked to stop: by which signal, and how long before it is killed."""

    number: int = signal.SIGTERM
    grace: float

    @classmethod
    def of(cls, task: Mapping[str, Any], limits: Limits) -> Stop:
        """As the task says, else as the runner does."""
        name, grace = task.get("killSignal"), task.get("killGrace")
        seconds = limits.kill_grace if grace is None else min(float(grace), LONGEST_GRACE)
        return cls(number=signal.Signals[f"SIG{name or 'TERM'}"], grace=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAs:
    """The system user that processes of jobs get."""

    user: int
    group: int
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSettings:
    """One runner. `environment` is what that of its jobs starts from (`pick_environment`).

    `secrets` maps upper-case names to plain values; `envs` and `globals` are the variables of those
    names. Jobs run as `run_as`, or each slot's as its own of `slot_users`, where these are given.
    `cache` is for what outlives jobs and is theirs, in the home when it is not given.
    `index_settings` say where the machine gets packages from (`pick_index_settings`).
    """

    home: Path
    workspaces: Path
    storage: Path
    bucket: Bucket | None = None
    cache: Path | None = None
    slots: int = field(default_factory=lambda: default_slots(os.cpu_count()))
    labels: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    protected: bool = False
    folders: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    envs: Mapping[str, object] = field(default_factory=dict)
    globals: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": DEFAULT_PATH})
    index_settings: Mapping[str, str] = field(default_factory=dict, repr=False)
    run_as: RunAs | None = None
    slot_users: tuple[RunAs, ...] = ()
    url: str = ""
    name: str = "local"
    task_runner: Literal["auto", "process", "docker"] = "auto"
    docker: DockerAccess = field(default_factory=DockerAccess)
    limits: Limits = field(default_factory=Limits)


def default_slots(cores: int | None) -> int:
    """How many jobs a machine runs at once unless told otherwise."""
    return max(4, 2 * (cores or 1))


def pick_environment(
    environment: Mapping[str, str], pass_env: Iterable[str] = (), *, pass_proxy: bool = False
) -> dict[str, str]:
    """What jobs inherit of a server's environment: a few harmless names, and those asked for.

    `SECRET_*` and the settings of Penstock itself are never passed, also when asked for.
    """
    names = [*ALWAYS_PASSED, *(PROXIES if pass_proxy else ()), *pass_env]
    picked = {name: environment[name] for name in names if name in environment}
    picked = {name: value for name, value in picked.items() if not reserved(name)}
    picked.setdefault("PATH", DEFAULT_PATH)
    picked.setdefault("LANG", "C.UTF-8")
    return picked


def pick_index_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that say where packages come from, for installers and for nothing else.

    Jobs do not inherit them: the address of a package index may hold a password.
    """
    named = (*PROXIES, *CERTIFICATES)
    return {
        name: value
        for name, value in environment.items()
        if name in named or (name.startswith(("PIP_", "UV_")) and name not in OF_THE_RUNNER)
    }


def reserved(name: str) -> bool:
    """Whether a variable belongs to the server and to nobody else."""
    upper = name.upper()
    return upper.startswith(("SECRET_", "SECRETFILE_", "PENSTOCK_", "KESTRA_"))
