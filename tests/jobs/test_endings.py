"""How jobs end as those of a CI service do: limits on time and silence, signals, exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import COMMANDS, Runner, gone, job, runner

from penstock_runner.jobs.protocol import Job

LEFT = (
    "nohup sh -c 'echo $$ > {0}; exec sleep 600' >/dev/null 2>&1 & while ! test -s {0}; do :; done"
)


def doing(*lines: str, key: str = "t", **said: Any) -> Job:
    """A shell job; `said` is what the task says beside its commands."""
    return job({"type": COMMANDS, "properties": {"commands": list(lines)}, **said}, key=key)


def reports(core: Runner, wanted: Job) -> list[dict[str, Any]]:
    """Every report about a job so far."""
    return [m for m in core.seen if m["type"] == "report" and m["key"] == wanted.key]


def test_a_trap_of_term_may_tidy_up_and_its_exit_code_is_told(tmp_path: Path) -> None:
    note = tmp_path / "tidied"
    wanted = doing(f"trap 'echo yes > {note}; exit 7' TERM", "echo begun", "sleep 600 & wait")
    with runner(tmp_path) as core:
        core.start(wanted)
        core.line("begun")
        core.cancel(wanted)
        report = core.report(wanted)
    assert (report["state"], report["reason"]) == ("KILLED", "killed")
    assert report["outputs"]["exitCode"] == 7
    assert note.read_text() == "yes\n"


@pytest.mark.parametrize("end", ["killed", "done"])
def test_nohup_does_not_outlive_its_job(tmp_path: Path, end: str) -> None:
    note = tmp_path / "pid"
    wanted = doing(LEFT.format(note), "echo begun", *(["sleep 600"] if end == "killed" else []))
    with runner(tmp_path) as core:
        core.start(wanted)
        core.line("begun")
        if end == "killed":
            core.cancel(wanted)
        report = core.report(wanted)
        assert gone(int(note.read_text()))
    assert report["state"] == ("KILLED" if end == "killed" else "SUCCESS")


def test_a_time_out_at_the_moment_of_the_end_is_one_end(tmp_path: Path) -> None:
    """Whichever comes first is told, once, and the runner goes on."""
    with runner(tmp_path) as core:
        wanted = [
            doing(f"sleep {0.15 + n / 400}", key=f"t{n}", timeout="PT0.2S") for n in range(24)
        ]
        for one in wanted:
            core.start(one)
        for one in wanted:
            report = core.report(one)
            ended = (report["state"], report["reason"], report["error"])
            assert ended in {
                ("SUCCESS", None, None),
                ("FAILED", "timeout", "Timeout after 00:00:00.200"),
            }
        assert core.do(doing("true", key="next"))["state"] == "SUCCESS"
        assert [len(reports(core, one)) for one in wanted] == [1] * len(wanted)


def test_a_command_over_its_time_says_its_exit_code_too(tmp_path: Path) -> None:
    with runner(tmp_path) as core:
        report = core.do(doing("sleep 600", timeout="PT0.2S"))
    assert (report["state"], report["reason"]) == ("FAILED", "timeout")
    assert report["outputs"]["exitCode"] == 143


def test_a_command_that_says_nothing_for_too_long_is_stopped(tmp_path: Path) -> None:
    with runner(tmp_path) as core:
        report = core.do(doing("echo begun", "sleep 600", idleTimeout=1.5))
        assert core.line("No output for 00:00:01.500, which is the idleTimeout of the task")
    assert (report["state"], report["reason"]) == ("FAILED", "timeout")


def test_a_command_that_speaks_now_and_then_is_not_stopped(tmp_path: Path) -> None:
    with runner(tmp_path) as core:
        report = core.do(doing("for n in 1 2 3 4; do sleep 0.6; echo $n; done", idleTimeout=1.5))
    assert report["state"] == "SUCCESS"


@pytest.mark.parametrize(
    ("command", "code", "shown"),
    [
        ("exit 3", 3, "3"),
        ("kill -KILL $$", 137, "137 (SIGKILL)"),
        ("kill -SEGV $$", 139, "139 (SIGSEGV)"),
    ],
)
def test_the_exit_code_is_an_output_and_a_signal_is_named(
    tmp_path: Path, command: str, code: int, shown: str
) -> None:
    with runner(tmp_path) as core:
        report = core.do(doing(command))
    assert (report["state"], report["reason"], report["exit_code"]) == ("FAILED", "exit", code)
    assert report["outputs"]["exitCode"] == code
    assert report["error"] == f"Command failed with exit code {shown}"


def test_what_cannot_begin_is_a_failure_of_its_setup(tmp_path: Path) -> None:
    wanted = job(
        {
            "type": COMMANDS,
            "properties": {"commands": ["true"], "interpreter": ["/no/such/shell", "-c"]},
        }
    )
    with runner(tmp_path) as core:
        report = core.do(wanted)
    assert (report["state"], report["reason"]) == ("FAILED", "setup")


def test_groups_and_colours_stay_and_other_escapes_go(tmp_path: Path) -> None:
    line = r"printf '\033[32mgreen\033[0m \033[2Kgone\n::group::Build\n::endgroup::\n50%%\r100%%\n'"
    wanted = doing(line)
    with runner(tmp_path) as core:
        core.do(wanted)
        texts = core.texts(wanted)
    assert texts == ["\x1b[32mgreen\x1b[0m gone", "::group::Build", "::endgroup::", "100%"]
