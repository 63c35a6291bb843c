"""The runner process with real workers and real processes, seen over its socket."""

from __future__ import annotations

from pathlib import Path

from tests.jobs.harness import commands, runner


def test_a_shell_job_runs_and_its_lines_and_outputs_come_back(tmp_path: Path) -> None:
    wanted = commands("echo hello", """echo '::{"outputs": {"a": 1}}::'""")
    with runner(tmp_path) as core:
        report = core.do(wanted)
    assert report["state"] == "SUCCESS"
    assert report["outputs"] == {"vars": {"a": 1}, "exitCode": 0, "outputFiles": {}}
    assert [line[2:] for line in core.lines(wanted)] == [["INFO", "hello", "stdout"]]
    assert report["last_line"] == 1


def test_a_failed_command_keeps_its_outputs_and_says_its_exit_code(tmp_path: Path) -> None:
    wanted = commands("""echo '::{"outputs": {"a": 1}}::'""", "exit 3")
    with runner(tmp_path) as core:
        report = core.do(wanted)
    assert (report["state"], report["exit_code"], report["reason"]) == ("FAILED", 3, "exit")
    assert report["error"] == "Command failed with exit code 3"
    assert report["outputs"]["vars"] == {"a": 1}
    assert core.lines(wanted)[-1][2:4] == ["ERROR", "Command failed with exit code 3"]


def test_the_workspace_is_gone_after_the_job(tmp_path: Path) -> None:
    with runner(tmp_path) as core:
        core.do(commands("mkdir -p a/b && touch a/b/c && chmod 000 a"))
        assert list((tmp_path / "work").iterdir()) == []
