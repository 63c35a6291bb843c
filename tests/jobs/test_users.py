"""Whom the processes of jobs run as, and what that keeps from them."""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.jobs.harness import commands, job, runner

from penstock_runner.jobs import users
from penstock_runner.jobs.settings import RunAs
from penstock_runner.jobs.slot_users import slot_users
from penstock_runner.taskrunners import descendants

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may run jobs as another user")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may become anybody")
NOBODY = RunAs(user=65534, group=65534, name="nobody")
SLOTS = tuple(RunAs(user=uid, group=uid, name=str(uid)) for uid in range(60_710, 60_714))
NODE = {"commands": ["env | grep -o '=/.*' | tr -d '='"]}
CAP_SYS_PTRACE = 19


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody can reach, unlike the folders of pytest."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o711)
        yield path


@as_root
def test_root_runs_jobs_as_nobody_unless_told_otherwise() -> None:
    chosen = users.job_user(None)
    assert chosen is not None
    assert chosen.user not in {0, os.geteuid()}
    assert users.job_user("root") is None
    assert users.job_user("0") is None
    assert users.job_user("1234:5678") == RunAs(user=1234, group=5678, name="1234")


@as_user
def test_a_user_runs_jobs_as_itself() -> None:
    assert users.job_user(None) is None
    assert users.job_user(str(os.geteuid())) is None
    with pytest.raises(users.UserRefused, match="only root"):
        users.job_user("root")


def test_a_user_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(users.UserRefused, match="no-such-user"):
        users.job_user("no-such-user")


def test_a_folder_is_reached_when_all_above_it_are_open(folder: Path) -> None:
    inner = folder / "closed" / "inner"
    inner.mkdir(parents=True)
    assert users.reaches(NOBODY, inner)
    inner.parent.chmod(0o700)
    assert not users.reaches(NOBODY, inner)


def test_folders_that_jobs_cannot_use_leave_their_path(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o700)
    (folder / "closed" / "python3").touch()
    environment = folder / "environment"
    environment.mkdir()
    (environment / "python").symlink_to(folder / "closed" / "python3")
    (folder / "open").mkdir()
    given = ":".join(str(folder / name) for name in ("closed", "environment", "open"))
    assert users.reachable_path(given, NOBODY) == str(folder / "open")


@as_root
def test_a_job_of_another_user_has_none_of_our_rights(folder: Path) -> None:
    (folder / "secret").write_text("hidden")
    (folder / "secret").chmod(0o600)
    wanted = commands(
        "grep -E '^(Uid|Gid|Groups|CapPrm|CapEff):' /proc/self/status | tr -s '[:space:]' ' '",
        f"cat {folder}/secret",
        "cat /proc/$PPID/environ",
        "cat /proc/$PPID/maps",
        failFast=False,
    )
    with runner(folder, run_as=NOBODY) as core:
        core.do(wanted)
        said = " ".join(core.texts(wanted))
    assert "Uid: 65534 65534 65534 65534" in said
    assert "Gid: 65534 65534 65534 65534" in said
    assert "CapPrm: 0000000000000000 CapEff: 0000000000000000" in said
    assert said.count("Permission denied") == 3
    assert "hidden" not in said


@as_root
def test_jobs_that_run_at_once_are_strangers(folder: Path) -> None:
    """Neither reads or stops the other, nor goes where its files are."""
    first = commands(
        "echo hidden > note",
        "echo ready",
        "sleep 600",
        key="first",
        env={"TOKEN": "hunter-22"},
    )
    second = commands(
        f"cat {folder}/work/run-first-1/work/note",
        f"ls {folder}/work/run-first-1",
        "cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep hunter",
        'for pid in $(grep -l "^sleep" /proc/[0-9]*/comm | tr -dc "0-9 \\n"); do kill $pid; done',
        "id -u",
        key="second",
        failFast=False,
    )
    with runner(folder, run_as=SLOTS[0], slot_users=SLOTS) as core:
        core.start(first)
        core.line("ready")
        core.do(second)
        said = " ".join(core.texts(second))
        core.cancel(first)
        assert core.report(first)["reason"] == "killed"
        third = commands("id -u", key="third")
        core.do(third)
    assert str(SLOTS[1].user) in said
    assert "hidden" not in said
    assert "hunter" not in said
    assert "not permitted" in said
    assert said.count("Permission denied") >= 3
    assert int(core.texts(third)[0]) in {one.user for one in SLOTS}


@as_root
def test_each_user_of_jobs_has_caches_of_its_own(folder: Path) -> None:
    cache = folder / "cache"
    wanted = job({"type": "io.kestra.plugin.scripts.node.Commands", "properties": NODE})
    with runner(folder, run_as=SLOTS[0], slot_users=SLOTS, cache=cache) as core:
        core.do(wanted)
        said = core.texts(wanted)
    mine = cache / f"user-{SLOTS[0].user}"
    assert [line for line in said if line.startswith(str(mine))]
    assert {path.stat().st_uid for path in mine.iterdir()} == {SLOTS[0].user}


@as_root
def test_each_slot_has_a_user_that_no_other_runner_has() -> None:
    first = slot_users(None, 4)
    second = slot_users(None, 8, skip=4)
    assert len({one.user for one in (*first, *second)}) == 12
    assert slot_users("70000-70099", 2) == (
        RunAs(user=70000, group=70000, name="70000"),
        RunAs(user=70001, group=70001, name="70001"),
    )
    assert slot_users(None, 10_000) == ()


@as_user
def test_only_root_has_users_for_slots() -> None:
    assert slot_users(None, 4) == ()
    with pytest.raises(users.UserRefused, match="only root"):
        slot_users("70000-70099", 4)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("many", "is no range"),
        ("0-9", "is no range"),
        ("70000-70001", "are 2 users, and there are 4"),
    ],
)
def test_a_wrong_range_of_users_is_refused(asked: str, reason: str) -> None:
    with pytest.raises(users.UserRefused, match=reason):
        slot_users(asked, 4)


@as_root
def test_a_program_that_the_user_may_not_start_is_named_with_the_setting(folder: Path) -> None:
    program = folder / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    wanted = commands("true", interpreter=[str(program)])
    with runner(folder, run_as=NOBODY) as core:
        report = core.do(wanted)
    assert report["reason"] == "setup"
    assert "jobs run as user nobody, see the setting runner.user" in report["error"]


@as_root
def test_the_mark_of_another_users_process_is_read_without_the_right_to_trace(
    folder: Path,
) -> None:
    wanted = commands("echo ready", "sleep 600")
    with runner(folder, run_as=NOBODY) as core:
        core.start(wanted)
        core.line("ready")
        of_job = (
            pid
            for pid in descendants.tree_of(core.pid)
            if Path(f"/proc/{pid}").stat().st_uid == NOBODY.user
        )
        job = next(of_job)
        found = _without_tracing(lambda: descendants.environment_of(job, "PENSTOCK_JOB_DIR"))
        core.cancel(wanted)
        core.report(wanted)
    assert found == f"{folder}/work/run-t-1"


def _without_tracing(look: Callable[[], str | None]) -> str:
    """What a child sees that may do all that root may do but trace, as root in a container."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            libc = ctypes.CDLL(None)
            header = (ctypes.c_uint32 * 2)(0x20080522, 0)
            rights = (ctypes.c_uint32 * 6)()
            libc.capget(header, rights)
            for part in range(3):
                rights[part] &= ~(1 << CAP_SYS_PTRACE)
            libc.capset(header, rights)
            os.write(writing, str(look()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    with os.fdopen(reading, "rb") as stream:
        return stream.read().decode()
