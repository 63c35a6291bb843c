"""Containers that outlive their runner, or their task; on a real daemon."""

from __future__ import annotations

import os
import secrets
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import Runner, commands, now, runner
from tests.taskrunners.real_docker import access, client, containers, daemon, in_container

from penstock_runner.jobs import containers as jobs_containers
from penstock_runner.jobs.protocol import Job
from penstock_runner.taskrunners import docker_labels

pytestmark = pytest.mark.docker

STEPS = (
    "echo first; echo oops >&2; echo 'half of ' > out.txt",
    'echo \'::{"outputs":{"n":7}}::\'',
    "until [ -f /tmp/go ]; do sleep 0.05; done",
    "echo 'the text' >> out.txt; echo last; echo a=1 >> $PENSTOCK_OUTPUT",
)


def resumable(*lines: str, key: str = "t", **more: Any) -> Job:
    wanted = in_container(*lines, key=key, outputFiles=["out.txt"], runner={"resume": True, **more})
    return replace(wanted, taskrun_id=f"run-{secrets.token_hex(6)}")


def let_go(found: Any, container: str) -> None:
    client(found).containers.get(container).exec_run(["touch", "/tmp/go"])


def running(core: Runner, wanted: Job, folder: Path) -> str:
    """Start the job; the id of its container once it has said something."""
    core.start(wanted)
    core.line("first")
    [one] = containers(daemon(), folder)
    return str(one["Id"])


def until(what: str, check: Callable[[], bool]) -> None:
    deadline = now().timestamp() + 20
    while not check():
        assert now().timestamp() < deadline, what
        threading.Event().wait(0.05)


def of_worker(core: Runner) -> list[int]:
    return [int(p) for p in Path(f"/proc/{core.pid}/task/{core.pid}/children").read_text().split()]


@pytest.mark.parametrize("ends", ["before the next runner", "while it is followed"])
def test_a_restarted_runner_takes_up_the_container_instead_of_running_twice(
    tmp_path: Path, ends: str
) -> None:
    found = daemon()
    wanted = resumable(*STEPS)
    with runner(tmp_path, docker=access()) as core:
        left = running(core, wanted, tmp_path)
    assert [one["Id"] for one in containers(found, tmp_path)] == [left]
    again = replace(wanted, attempt=2)
    if ends == "before the next runner":
        let_go(found, left)
        client(found).containers.get(left).wait(timeout=20)
    with runner(tmp_path, docker=access()) as core:
        core.start(again)
        core.line("first")
        let_go(found, left) if ends == "while it is followed" else None
        report = core.report(again)
        levels = [line[2] for line in core.lines(again)]
        said = [text for text in core.texts(again) if "is taken up" not in text]
        outputs = report["outputs"]
        stored = next((tmp_path / "storage").rglob("*out.txt")).read_text()
    assert report["state"] == "WARNING"
    assert sorted(said) == ["first", "last", "oops"]
    assert said.index("first") < said.index("last")
    assert "WARN" in levels  # the log says that it was taken up
    assert outputs["vars"] == {"n": 7, "a": "1"}
    assert stored == "half of \nthe text\n"
    assert containers(found, tmp_path) == []


def test_a_killed_runner_leaves_it_to_the_next_one(tmp_path: Path) -> None:
    found = daemon()
    wanted = resumable("echo first", "until [ -f /tmp/go ]; do sleep 0.05; done", "exit 3")
    with runner(tmp_path, docker=access()) as core:
        left = running(core, wanted, tmp_path)
        for pid in of_worker(core):
            os.kill(pid, signal.SIGKILL)
        assert core.report(wanted)["reason"] == "runner-lost"
        again = replace(wanted, attempt=2)
        core.start(again)
        core.until("taken up", lambda m: m["type"] == "logs" and m["attempt"] == 2)
        let_go(found, left)
        report = core.until("end", lambda m: m["type"] == "report" and m["attempt"] == 2)
    assert (report["state"], report["exit_code"], report["reason"]) == ("FAILED", 3, "exit")
    assert containers(found, tmp_path) == []


def test_a_container_that_is_taken_up_can_be_killed(tmp_path: Path) -> None:
    found = daemon()
    wanted = resumable("echo first", "sleep 600")
    with runner(tmp_path, docker=access()) as core:
        running(core, wanted, tmp_path)
    again = replace(wanted, attempt=2)
    with runner(tmp_path, docker=access()) as core:
        core.start(again)
        core.line("first")
        core.cancel(again, force=True)
        assert core.report(again)["state"] == "KILLED"
    assert containers(found, tmp_path) == []


def test_a_job_that_is_killed_while_its_worker_dies_leaves_nothing_to_take_up(
    tmp_path: Path,
) -> None:
    found = daemon()
    wanted = resumable("trap '' TERM", "echo first", "while true; do sleep 0.05; done")
    with runner(tmp_path, docker=access()) as core:
        running(core, wanted, tmp_path)
        core.cancel(wanted)
        for pid in of_worker(core):
            os.kill(pid, signal.SIGKILL)
        assert core.report(wanted)["state"] == "KILLED"
        until("the container is still there", lambda: containers(found, tmp_path) == [])


def test_what_nobody_takes_up_is_removed_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = daemon()
    monkeypatch.setattr(jobs_containers, "RESUME_SECONDS", 5.0)
    forgotten = resumable("echo first", "sleep 600", key="f")
    followed = resumable("echo first", "sleep 600", key="u")
    with runner(tmp_path, docker=access()) as core:
        for one in (forgotten, followed):
            core.start(one)
            core.until("first", lambda m, one=one: m["type"] == "logs" and m["key"] == one.key)
    assert len(containers(found, tmp_path)) == 2
    again = replace(followed, attempt=2)
    with runner(tmp_path, docker=access()) as core:
        core.start(again)
        core.line("first")
        until("nobody tidied up", lambda: len(containers(found, tmp_path)) == 1)
        [left] = containers(found, tmp_path)
        assert left["Labels"][docker_labels.TASKRUN] == followed.taskrun_id
        core.cancel(again, force=True)
        core.report(again)


def test_an_attempt_that_has_ended_is_not_taken_up_though_its_container_is_kept(
    tmp_path: Path,
) -> None:
    found = daemon()
    wanted = resumable("hostname", "exit 3", delete=False)
    try:
        with runner(tmp_path, docker=access()) as core:
            first = core.do(wanted)
            again = replace(wanted, attempt=2)
            core.start(again)
            core.until("end", lambda m: m["type"] == "report" and m["attempt"] == 2)
        one, other = containers(found, tmp_path)
        assert one["Id"] != other["Id"]
        ids = {one["Id"], other["Id"]}
        assert first["outputs"]["taskRunner"]["containerId"] in ids
        with runner(tmp_path, docker=access()) as core:
            core.do(commands("true"))
        assert {left["Id"] for left in containers(found, tmp_path)} == ids
    finally:
        for left in containers(found, tmp_path):
            client(found).api.remove_container(left["Id"], force=True)


def test_a_task_that_does_not_wait_leaves_its_container_running(tmp_path: Path) -> None:
    found = daemon()
    wanted = in_container(
        "echo started",
        "cat in.txt",
        "until [ -f /tmp/go ]; do sleep 0.05; done",
        inputFiles={"in.txt": "hello\n"},
        runner={"wait": False},
    )
    with runner(tmp_path, docker=access()) as core:
        report = core.do(wanted)
    assert (report["state"], report["outputs"]["exitCode"]) == ("SUCCESS", 0)
    container = client(found).containers.get(report["outputs"]["taskRunner"]["containerId"])
    try:
        with runner(tmp_path, docker=access()) as core:  # the next runner does not sweep it
            core.do(commands("true"))
        container.reload()
        assert container.status == "running"
        until("no output", lambda: b"hello" in container.logs())
        let_go(found, container.id)
        until("still listed", lambda: client(found).api.containers(
            all=True, filters={"id": container.id}) == [])  # fmt: skip
    finally:
        for left in client(found).api.containers(all=True, filters={"id": container.id}):
            client(found).api.remove_container(left["Id"], force=True)


def test_a_folder_that_is_removed_with_its_task_is_no_mount_of_what_runs_on(
    tmp_path: Path,
) -> None:
    wanted = in_container("true", runner={"wait": False, "fileHandlingStrategy": "MOUNT"})
    daemon()
    with runner(tmp_path, docker=access()) as core:
        report = core.do(wanted)
    assert (report["state"], report["reason"]) == ("FAILED", "setup")
    assert "`wait: false`" in report["error"]
