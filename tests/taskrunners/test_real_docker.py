"""Containers of a real daemon; skipped where none answers."""

from __future__ import annotations

import os
import signal
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import Runner, commands, gone, job, now, runner
from tests.taskrunners.real_docker import (
    IMAGE,
    TASK_RUNNER,
    access,
    client,
    containers,
    daemon,
    in_container,
)

from penstock_runner.jobs.protocol import Job
from penstock_runner.jobs.settings import Limits, RunAs
from penstock_runner.taskrunners import docker_labels

pytestmark = pytest.mark.docker


def do(folder: Path, wanted: Job, *allow: str, **changes: Any) -> tuple[dict[str, Any], list[str]]:
    """Run one job on the daemon of this machine: its report, and what its log says."""
    daemon()
    with runner(folder, docker=access(allow=frozenset(allow)), **changes) as core:
        report = core.do(wanted)
        return report, core.texts(wanted)


def test_files_go_in_and_come_back(tmp_path: Path) -> None:
    wanted = in_container(
        "cat sub/in.txt",
        "echo kept > out.txt",
        "mkdir {{ outputDir }}/n && echo x > {{ outputDir }}/n/file.txt",
        "echo answer=42 >> $PENSTOCK_OUTPUT",
        inputFiles={"sub/in.txt": "hello\n"},
        outputFiles=["*.txt"],
        outputDirectory=True,
    )
    report, said = do(tmp_path, wanted)
    assert (report["state"], said) == ("SUCCESS", ["hello"])
    assert sorted(report["outputs"]["outputFiles"]) == ["n/file.txt", "out.txt"]
    assert report["outputs"]["vars"] == {"answer": "42"}


def test_a_job_without_files_brings_back_what_it_wrote(tmp_path: Path) -> None:
    report, _ = do(tmp_path, in_container("echo kept > out.txt", outputFiles=["out.txt"]))
    assert list(report["outputs"]["outputFiles"]) == ["out.txt"]


def test_a_job_that_writes_nothing_has_an_empty_working_directory(tmp_path: Path) -> None:
    wanted = in_container('test -z "$(ls -A)" && test "{{ workingDir }}" = "$PWD" && echo empty')
    report, said = do(tmp_path, wanted)
    assert (report["state"], said) == ("SUCCESS", ["empty"])


def test_no_container_is_left_after_a_job_that_failed(tmp_path: Path) -> None:
    report, _ = do(tmp_path, in_container("exit 3"))
    assert (report["state"], report["exit_code"], report["reason"]) == ("FAILED", 3, "exit")
    assert containers(daemon(), tmp_path) == []


def test_another_user_can_use_the_files_of_the_job(tmp_path: Path) -> None:
    wanted = in_container(
        "id -u", "cat in.txt", "echo y > out.txt", inputFiles={"in.txt": "x\n"},
        outputFiles=["out.txt"], runner={"user": "1234:1234"},
    )  # fmt: skip
    report, said = do(tmp_path, wanted)
    assert (report["state"], said) == ("SUCCESS", ["1234", "x"])
    assert list(report["outputs"]["outputFiles"]) == ["out.txt"]


def test_a_folder_of_this_machine_can_be_the_workspace_itself(tmp_path: Path) -> None:
    wanted = in_container(
        "cat in.txt", "echo y > out.txt", inputFiles={"in.txt": "x\n"},
        outputFiles=["out.txt"], runner={"fileHandlingStrategy": "MOUNT"},
    )  # fmt: skip
    report, said = do(tmp_path, wanted)
    assert (report["state"], said) == ("SUCCESS", ["x"])
    assert list(report["outputs"]["outputFiles"]) == ["out.txt"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run jobs as another user")
@pytest.mark.parametrize("strategy", ["VOLUME", "MOUNT"])
def test_what_a_container_wrote_belongs_to_the_user_of_the_job(strategy: str) -> None:
    daemon()
    child = {
        "type": "io.kestra.plugin.scripts.shell.Commands",
        "properties": {
            "commands": ["mkdir d", "echo one > d/a.txt", "chmod 600 d/a.txt", "mknod d/disk b 8 0"]
        },
    }
    inside = {
        **child["properties"],
        "containerImage": IMAGE,
        "taskRunner": {
            "type": TASK_RUNNER,
            "pullPolicy": "NEVER",
            "fileHandlingStrategy": strategy,
        },
    }
    after = {"commands": ["id -u", "cat d/a.txt", "echo two >> d/a.txt", "touch d/b.txt", "ls d"]}
    process = {"type": "io.kestra.plugin.core.runner.Process"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        wanted = job(
            {
                "type": "io.kestra.plugin.core.flow.WorkingDirectory",
                "kind": "io.kestra.plugin.core.flow.WorkingDirectory",
                "properties": {"outputFiles": ["d/*"]},
                "branches": {
                    "tasks": [
                        {**child, "id": "in", "properties": inside},
                        {**child, "id": "after", "properties": {**after, "taskRunner": process}},
                    ]
                },
            }
        )
        with runner(folder, docker=access(), run_as=RunAs(user=65534, group=65534)) as core:
            report = core.do(wanted)
            assert report["state"] == "SUCCESS", core.texts(wanted)
            assert core.texts(wanted) == ["65534", "one", "a.txt", "b.txt"]
    assert sorted(report["outputs"]["outputFiles"]) == ["d/a.txt", "d/b.txt"]


def test_a_volume_is_mounted_once_it_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file.txt").write_text("of the machine\n")
    wanted = in_container("cat /data/file.txt", runner={"volumes": [f"{tmp_path}/data:/data:ro"]})
    report, _ = do(tmp_path, wanted)
    assert (report["state"], report["reason"]) == ("FAILED", "setup")
    assert "docker: {allow: [volumes]}" in report["error"]
    report, said = do(tmp_path, wanted, "volumes")
    assert (report["state"], said) == ("SUCCESS", ["of the machine"])


def test_a_container_without_a_network_has_only_loopback(tmp_path: Path) -> None:
    wanted = in_container("ls /sys/class/net", runner={"networkMode": "none"})
    assert do(tmp_path, wanted)[1] == ["lo"]


def test_limits_reach_the_container(tmp_path: Path) -> None:
    found = daemon()
    wanted = in_container(
        "echo ready", "sleep 600",
        runner={"memory": {"memory": "64MB"}, "cpu": {"cpus": 0.5}, "networkMode": "none"},
    )  # fmt: skip
    with runner(tmp_path, docker=access()) as core:
        core.start(wanted)
        core.line("ready")
        [one] = containers(found, tmp_path)
        limits = client(found).api.inspect_container(one["Id"])["HostConfig"]
        assert (limits["Memory"], limits["NanoCpus"]) == (64 * 1024**2, 500_000_000)
        assert one["Labels"]["kestra.io/flow-id"] == "build"
        assert one["Labels"]["penstock.taskrun"] == "run-t"
        core.cancel(wanted)
        core.report(wanted)
    assert containers(found, tmp_path) == []


def test_a_line_that_is_not_finished_is_shown_all_the_same(tmp_path: Path) -> None:
    daemon()
    wanted = in_container("printf 'Continue? '", "sleep 600")
    with runner(tmp_path, docker=access()) as core:
        core.start(wanted)
        core.line("Continue?")
        core.cancel(wanted, force=True)
        core.report(wanted)


def test_much_output_arrives_whole_and_in_order(tmp_path: Path) -> None:
    report, said = do(tmp_path, in_container("seq 50000"))
    assert report["state"] == "SUCCESS"
    assert said == [str(n) for n in range(1, 50_001)]


def test_a_job_out_of_memory_says_so(tmp_path: Path) -> None:
    wanted = in_container(
        "tail /dev/zero", runner={"memory": {"memory": "16MB", "memorySwap": "16MB"}}
    )
    report, _ = do(tmp_path, wanted)
    assert (report["state"], report["reason"], report["exit_code"]) == ("FAILED", "oom", 137)


def test_a_kill_gives_the_job_time_to_tidy_up(tmp_path: Path) -> None:
    found = daemon()
    wanted = in_container(
        "trap 'echo tidied; exit 0' TERM", "echo ready", "while true; do sleep 0.05; done",
        runner={"killGracePeriod": "PT5S"},
    )  # fmt: skip
    with runner(tmp_path, docker=access(), limits=Limits(kill_grace=10)) as core:
        core.start(wanted)
        core.line("ready")
        core.cancel(wanted)
        report = core.report(wanted)
        assert "tidied" in core.texts(wanted)
    assert (report["state"], report["reason"]) == ("KILLED", "killed")
    assert containers(found, tmp_path) == []


def test_a_kill_that_is_asked_for_twice_leaves_no_time(tmp_path: Path) -> None:
    found = daemon()
    wanted = in_container("trap '' TERM", "echo ready", "while true; do sleep 0.05; done")
    with runner(tmp_path, docker=access(), limits=Limits(kill_grace=600)) as core:
        core.start(wanted)
        core.line("ready")
        core.cancel(wanted)
        core.cancel(wanted, force=True)
        report = core.report(wanted)
    assert (report["state"], report["reason"]) == ("KILLED", "killed")
    assert containers(found, tmp_path) == []


def test_a_task_names_the_signal_that_stops_its_container(tmp_path: Path) -> None:
    daemon()
    wanted = in_container(
        "trap 'echo hung up; exit 0' HUP", "echo ready", "while true; do sleep 0.05; done"
    )
    wanted = replace(wanted, task={**wanted.task, "killSignal": "HUP"})
    with runner(tmp_path, docker=access(), limits=Limits(kill_grace=600)) as core:
        core.start(wanted)
        core.line("ready")
        core.cancel(wanted)
        assert core.report(wanted)["state"] == "KILLED"
        assert "hung up" in core.texts(wanted)


def started(core: Runner, wanted: Job) -> None:
    core.start(wanted)
    core.line("ready")


def test_a_job_whose_worker_dies_leaves_no_container(tmp_path: Path) -> None:
    found = daemon()
    wanted = in_container("echo ready", "sleep 600")
    with runner(tmp_path, docker=access()) as core:
        started(core, wanted)
        for pid in map(int, Path(f"/proc/{core.pid}/task/{core.pid}/children").read_text().split()):
            os.kill(pid, signal.SIGKILL)
        assert core.report(wanted)["reason"] == "runner-lost"
        until = now().timestamp() + 20
        while containers(found, tmp_path):
            assert now().timestamp() < until, "the container is still there"


def test_a_runner_that_ends_takes_its_containers_along(tmp_path: Path) -> None:
    found = daemon()
    with runner(tmp_path, docker=access()) as core:
        started(core, in_container("echo ready", "sleep 600"))
        pid = core.pid
    assert gone(pid)
    assert containers(found, tmp_path) == []


def test_a_runner_sweeps_what_a_killed_one_left_and_nothing_else(tmp_path: Path) -> None:
    found = daemon()
    other = client(found).containers.create(
        IMAGE, "true", labels={docker_labels.FOLDER: "/elsewhere/job-1"}
    )
    try:
        left = client(found).containers.create(
            IMAGE, "true", labels={docker_labels.FOLDER: str(tmp_path / "work/job-1")}
        )
        with runner(tmp_path, docker=access()) as core:
            core.do(commands("true"))
            until = now().timestamp() + 20
            while containers(found, tmp_path):
                assert now().timestamp() < until, f"{left.id} is still there"
        assert client(found).containers.get(other.id).id == other.id
    finally:
        other.remove(force=True)


def test_a_thousand_files_come_back(tmp_path: Path) -> None:
    wanted = in_container("seq 1000 | xargs touch", outputFiles=["[0-9]*"])
    report, _ = do(tmp_path, wanted)
    assert len(report["outputs"]["outputFiles"]) == 1000


def test_a_link_out_of_the_folder_does_not_come_back(tmp_path: Path) -> None:
    wanted = in_container(
        "ln -s /etc/passwd a.txt", "ln -s ../../../../../etc/passwd b.txt",
        "mkdir d && ln -s / d/root", "echo x > real.txt", outputFiles=["**.txt", "d/**"],
    )  # fmt: skip
    report, _ = do(tmp_path, wanted)
    assert list(report["outputs"]["outputFiles"]) == ["real.txt"]
