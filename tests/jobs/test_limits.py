"""What a process of the machine may use at most, and the home it may have."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import Runner, commands, runner
from tests.jobs.test_users import SLOTS, as_root, folder  # noqa: F401 - a fixture

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
        assert said(core, "nice")[1] == str(min(19, os.nice(0) + 5))


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
