"""What a process of the machine may use at most, and the home it may have."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import Runner, commands, runner
from tests.jobs.test_users import SLOTS, as_root, folder  # noqa: F401 - a fixture

from penstock_runner.jobs import control_groups
from penstock_runner.taskrunners.api import SetupFailed
from penstock_runner.taskrunners.limits import ProcessLimits, read_limits, threads_of

PROCESS = "io.kestra.plugin.core.runner.Process"


def said(core: Runner, *lines: str, key: str = "t", **task_runner: Any) -> tuple[str, str]:
    wanted = commands(*lines, key=key, taskRunner={"type": PROCESS, **task_runner})
    report = core.do(wanted)
    return report["state"], "\n".join(core.texts(wanted))


def test_a_process_is_held_to_its_limits(tmp_path: Path) -> None:
    with runner(tmp_path) as core:
        limits = {"memory": "64MB", "files": 50, "processes": "20", "cpu": 0.5}
        state, text = said(core, "nproc", "cat /proc/self/limits", limits=limits)
        assert state == "SUCCESS"
        words = {" ".join(line.split()) for line in text.splitlines()}
        assert "1" in words
        assert "Max data size 67108864 67108864 bytes" in words
        assert "Max open files 50 50 files" in words
        _, free = said(core, "cat /proc/self/limits", key="free")
        assert "67108864" not in free


def test_a_process_that_wants_more_memory_fails(tmp_path: Path) -> None:
    greedy = "head -c 200000000 /dev/zero | tail -c 150000000 > /dev/null"
    with runner(tmp_path) as core:
        state, text = said(core, greedy, limits={"memory": "20MB"})
        assert state == "FAILED"
        assert "memory" in text
        assert said(core, greedy, key="free")[0] == "SUCCESS"


@as_root
def test_a_job_starts_no_more_processes_than_it_may(folder: Path) -> None:  # noqa: F811
    many = "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done; wait"
    with runner(folder, run_as=SLOTS[0], slot_users=SLOTS) as core:
        state, text = said(core, many, limits={"processes": 6})
        assert state == "FAILED"
        assert "fork" in text
        assert said(core, many, key="free")[0] == "SUCCESS"


def test_a_process_may_have_the_home_of_its_user(tmp_path: Path) -> None:
    home = pwd.getpwuid(os.geteuid()).pw_dir
    with runner(tmp_path) as core:
        assert said(core, "echo at $HOME", home="inherit")[1] == f"at {home}"
        assert said(core, "echo at $HOME", key="own")[1] == f"at {tmp_path}/work/run-own-1/work"
        wanted = commands(
            "echo at $HOME",
            key="given",
            env={"HOME": "/given"},
            taskRunner={"type": PROCESS, "home": "inherit"},
        )
        core.do(wanted)
        assert core.texts(wanted) == ["at /given"]


def test_jobs_leave_the_processor_to_the_service_first(tmp_path: Path) -> None:
    with runner(tmp_path) as core:
        wanted = str(min(19, os.nice(0) + 5))
        until = f'n=0; while [ "$(nice)" != {wanted} ] && [ $n -lt 100 ]; do n=$((n + 1)); done'
        assert said(core, until, "nice")[1] == wanted


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"memory": "much"}, "is no size"),
        ({"cpu": 0}, "above 0"),
        ({"files": 1.5}, "whole number"),
        ({"disk": "1g"}, "no other keys"),
        ("64MB", "no other keys"),
    ],
)
def test_wrong_limits_are_refused_by_name(given: object, reason: str) -> None:
    with pytest.raises(SetupFailed, match=reason):
        read_limits({"limits": given})


def test_limits_are_read_as_people_write_them() -> None:
    assert read_limits({}) is None
    assert read_limits({"limits": {"cpu": "2", "memory": "1.5g", "processes": 10}}) == (
        ProcessLimits(cpu=2.0, memory=1610612736, processes=10)
    )
    assert threads_of(os.geteuid()) > 0


in_groups = pytest.mark.skipif(
    control_groups.find() is None, reason="no control group was delegated to this process"
)


@in_groups
def test_a_job_with_limits_has_a_control_group_that_ends_with_it(folder: Path) -> None:  # noqa: F811
    users = {"run_as": SLOTS[0], "slot_users": SLOTS} if os.geteuid() == 0 else {}
    with runner(folder, **users) as core:
        state, text = said(
            core,
            "grep ^0:: /proc/self/cgroup",
            "(setsid sleep 600 > /dev/null 2>&1 &)",
            limits={"files": 100},
        )
        assert state == "SUCCESS"
        place = re.search(r"penstock-job-\d+-\d+", text)
        assert place is not None
        assert (
            said(core, "grep ^0:: /proc/self/cgroup || true", key="free")[1].count("penstock") == 0
        )
        said(core, "true", key="next", limits={"files": 100})
    groups = control_groups.find()
    assert groups is not None
    assert not list(Path("/sys/fs/cgroup").glob(f"**/{place[0]}/cgroup.procs"))


class Made(control_groups.ControlGroups):
    """Groups in a folder, with these controllers; a test makes files as the kernel does."""

    def __init__(self, top: Path, *controllers: str) -> None:
        (top / "cgroup.controllers").write_text(" ".join(controllers))
        super().__init__(top)
        self.controllers = frozenset(controllers)

    def _hold(self, path: Path, limits: ProcessLimits) -> ProcessLimits:
        (path / "cgroup.procs").touch()
        return super()._hold(path, limits)


def test_a_group_holds_what_its_controllers_can(tmp_path: Path) -> None:
    limits = ProcessLimits(cpu=1.5, memory=1 << 20, files=10, processes=5)
    group = Made(tmp_path, "cpu", "memory", "pids").make(limits)
    assert group is not None
    assert group.rest == ProcessLimits(files=10)
    written = {path.name: path.read_text() for path in group.path.iterdir()}
    assert written["memory.max"] == "1048576"
    assert written["pids.max"] == "5"
    assert written["cpu.max"] == "150000 100000"


def test_a_group_without_controllers_leaves_limits_to_each_process(tmp_path: Path) -> None:
    limits = ProcessLimits(cpu=1.5, memory=1 << 20, files=10, processes=5)
    group = Made(tmp_path, "cpuset", "io").make(limits)
    assert group is not None
    assert group.rest == limits


def test_a_group_tells_when_memory_has_run_out(tmp_path: Path) -> None:
    group = Made(tmp_path, "cpu", "memory", "pids").make(ProcessLimits(memory=1))
    assert group is not None
    assert not group.ran_out()
    (group.path / "memory.events").write_text("low 0\nhigh 0\nmax 3\noom 1\noom_kill 0\n")
    assert not group.ran_out()
    (group.path / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    assert group.ran_out()


def test_groups_are_made_only_where_they_were_delegated(tmp_path: Path) -> None:
    own, mounts = tmp_path / "own", tmp_path / "mounts"
    root = tmp_path / "root"
    (root / "service").mkdir(parents=True)
    for group in (root, root / "service"):
        (group / "cgroup.procs").touch()
    mounts.write_text(f"cgroup2 {root} cgroup2 rw 0 0\n")
    own.write_text("1:cpu:/x\n0::/service\n")
    assert control_groups.find(mounts, own) is None
    own.write_text("0::/\n")
    assert control_groups.find(mounts, own) is not None
    assert control_groups.find(tmp_path / "none", own) is None
