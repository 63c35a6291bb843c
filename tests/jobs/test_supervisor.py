"""The runner process with real workers and real processes, seen over its socket."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import signal
import socket
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import DEADLINE, Runner, alive, commands, gone, job, runner

from penstock_runner.jobs.frames import ChannelClosed
from penstock_runner.jobs.settings import Limits, RunAs, pick_environment
from penstock_runner.tasks.storage import LocalStorage

SETSID = "setsid sh -c 'echo $$ > {0}; exec sleep 600' & while ! test -s {0}; do :; done"
DOUBLE_FORK = (
    "sh -c 'sh -c \"echo \\$\\$ > {0}; exec sleep 600\" & exit 0'; while ! test -s {0}; do :; done"
)
HIDDEN = "env -i setsid sh -c 'echo $$ > {0}; exec sleep 600' & while ! test -s {0}; do :; done"

DEAF = "trap 'echo heard' TERM"


def children(core: Runner) -> list[int]:
    """The child processes of the runner."""
    return [
        int(pid) for pid in Path(f"/proc/{core.pid}/task/{core.pid}/children").read_text().split()
    ]


def pid_in(path: Path) -> int:
    return int(path.read_text())


def test_a_shell_job_runs_and_its_lines_and_outputs_come_back(tmp_path: Path) -> None:
    wanted = commands("echo hello", """echo '::{"outputs": {"a": 1}}::'""")
    with runner(tmp_path) as core:
        report = core.do(wanted)
    assert report["state"] == "SUCCESS"
    assert report["outputs"] == {"vars": {"a": 1}, "exitCode": 0, "outputFiles": {}}
    assert [line[2:] for line in core.lines(wanted)] == [["INFO", "hello", "stdout"]]
    assert report["last_line"] == 1


def test_a_runner_says_hello_and_when_a_job_starts(tmp_path: Path) -> None:
    wanted = commands("true")
    with runner(tmp_path, labels=("gpu",), name="r7") as core:
        core.do(wanted)
        hello, started, *_ = core.seen
    assert (hello["type"], hello["runner"], hello["slots"], hello["labels"]) == (
        "hello",
        "r7",
        4,
        ["gpu"],
    )
    assert (started["type"], started["key"], started["attempt"]) == ("started", "t", 1)


def test_a_failed_command_keeps_its_outputs_and_says_its_exit_code(tmp_path: Path) -> None:
    wanted = commands("""echo '::{"outputs": {"a": 1}}::'""", "exit 3")
    with runner(tmp_path) as core:
        report = core.do(wanted)
    assert (report["state"], report["exit_code"], report["reason"]) == ("FAILED", 3, "exit")
    assert report["error"] == "Command failed with exit code 3"
    assert report["outputs"]["vars"] == {"a": 1}
    assert core.lines(wanted)[-1][2:4] == ["ERROR", "Command failed with exit code 3"]


def test_a_command_killed_by_a_signal_says_which(tmp_path: Path) -> None:
    with runner(tmp_path) as core:
        report = core.do(commands("kill -9 $$"))
    assert report["exit_code"] == 137
    assert report["error"] == "Command failed with exit code 137 (SIGKILL)"


def test_the_workspace_is_gone_after_the_job(tmp_path: Path) -> None:
    with runner(tmp_path) as core:
        core.do(commands("mkdir -p a/b && touch a/b/c && chmod 000 a"))
        assert list((tmp_path / "work").iterdir()) == []


def test_the_environment_is_clean(tmp_path: Path) -> None:
    around = {
        "PATH": os.environ["PATH"],
        "SECRET_TOKEN": "x",
        "PENSTOCK_HOME": "/h",
        "DATABASE_URL": "postgres://",
        "MINE": "1",
        "HTTPS_PROXY": "http://p",
    }
    wanted = commands("env -0 | tr '\\n\\0' ' \\n' | sed 's/^/./'", env={"OWN": "{{ 1 + 1 }}"})
    with runner(tmp_path, environment=pick_environment(around, ["MINE", "SECRET_TOKEN"])) as core:
        core.do(wanted)
        found = dict(text[1:].split("=", 1) for text in core.texts(wanted))
    assert found["MINE"] == "1"
    assert found["OWN"] == "2"
    assert found["CI"] == "true"
    assert found["HOME"] == found["WORKING_DIR"]
    assert found["PENSTOCK_EXECUTION_ID"] == "x1"
    assert found["PENSTOCK_FLOW_REVISION"] == "7"
    assert not {"SECRET_TOKEN", "PENSTOCK_HOME", "DATABASE_URL", "HTTPS_PROXY"} & set(found)


def test_flow_env_is_below_task_env(tmp_path: Path) -> None:
    wanted = job(
        {
            "type": "io.kestra.plugin.scripts.shell.Commands",
            "properties": {"commands": ["echo $A$B$CI_COMMIT_SHA"], "env": {"B": "task"}},
        },
        flow_env={"A": "flow-", "B": "flow"},
        ci={"CI_COMMIT_SHA": "-abc"},
    )
    with runner(tmp_path) as core:
        core.do(wanted)
        assert core.texts(wanted) == ["flow-task-abc"]


@pytest.mark.parametrize("escape", [SETSID, DOUBLE_FORK], ids=["setsid", "double fork"])
def test_what_a_successful_command_leaves_behind_is_killed_with_a_warning(
    tmp_path: Path, escape: str
) -> None:
    note = tmp_path / "pid"
    wanted = commands(escape.format(note))
    with runner(tmp_path) as core:
        report = core.do(wanted)
        assert gone(pid_in(note))
    assert report["state"] == "SUCCESS"
    warnings = [line[3] for line in core.lines(wanted) if line[2] == "WARN"]
    assert warnings == ["1 process was left behind by the command and killed"]


def test_a_process_that_hides_its_session_and_environment_goes_with_its_job(
    tmp_path: Path,
) -> None:
    note = tmp_path / "pid"
    with runner(tmp_path) as core:
        core.do(commands(HIDDEN.format(note)))
        assert gone(pid_in(note))


def test_the_orphan_of_one_job_survives_the_end_of_another(tmp_path: Path) -> None:
    note, stop = tmp_path / "pid", tmp_path / "stop"
    long = commands(
        HIDDEN.format(note), "echo ready", f"while ! test -e {stop}; do sleep 0.02; done", key="a"
    )
    with runner(tmp_path) as core:
        core.start(long)
        core.line("ready")
        core.do(commands("true", key="b"))
        assert alive(pid_in(note))
        stop.touch()
        core.report(long)
        assert gone(pid_in(note))


@pytest.mark.parametrize("escape", [SETSID, DOUBLE_FORK], ids=["setsid", "double fork"])
def test_a_killed_job_takes_all_its_descendants_along(tmp_path: Path, escape: str) -> None:
    note = tmp_path / "pid"
    wanted = commands(escape.format(note), "echo ready", "sleep 600")
    with runner(tmp_path) as core:
        core.start(wanted)
        core.line("ready")
        core.cancel(wanted)
        report = core.report(wanted)
        assert gone(pid_in(note))
    assert (report["state"], report["reason"]) == ("KILLED", "killed")


def test_a_command_that_ignores_term_is_killed_after_the_grace(tmp_path: Path) -> None:
    wanted = commands(DEAF, "echo ready", "while :; do sleep 0.05; done", failFast=False)
    with runner(tmp_path) as core:
        core.start(wanted)
        core.line("ready")
        core.cancel(wanted)
        report = core.report(wanted)
        assert "heard" in core.texts(wanted)
        told = [message for message in core.seen if message["type"] == "escalated"]
    assert [message["key"] for message in told] == [wanted.key]
    assert report["state"] == "KILLED"
    assert report["exit_code"] == 137


def test_a_second_cancel_skips_the_grace(tmp_path: Path) -> None:
    wanted = commands(DEAF, "echo ready", "while :; do sleep 0.05; done", failFast=False)
    with runner(tmp_path, limits=Limits(kill_grace=600)) as core:
        core.start(wanted)
        core.line("ready")
        core.cancel(wanted)
        core.line("heard")
        core.cancel(wanted, force=True)
        assert core.report(wanted)["state"] == "KILLED"


def test_a_task_says_by_which_signal_it_is_stopped(tmp_path: Path) -> None:
    made = commands("trap 'echo by int; exit 0' INT", "echo ready", "while :; do sleep 0.05; done")
    wanted = replace(made, task={**made.task, "killSignal": "INT"})
    with runner(tmp_path, limits=Limits(kill_grace=600)) as core:
        core.start(wanted)
        core.line("ready")
        core.cancel(wanted)
        assert core.report(wanted)["state"] == "KILLED"
        assert core.texts(wanted) == ["ready", "by int"]


def test_a_task_says_how_long_it_may_take_to_stop(tmp_path: Path) -> None:
    made = commands(DEAF, "echo ready", "while :; do sleep 0.05; done", failFast=False)
    wanted = replace(made, task={**made.task, "killGrace": 0.0})
    with runner(tmp_path, limits=Limits(kill_grace=600)) as core:
        core.start(wanted)
        core.line("ready")
        core.cancel(wanted)
        assert core.report(wanted)["state"] == "KILLED"


def test_a_job_over_its_timeout_fails_and_says_so(tmp_path: Path) -> None:
    wanted = commands(
        "echo begun > out.txt", "sleep 600", timeout="PT0.2S", outputFiles=["out.txt"]
    )
    with runner(tmp_path) as core:
        report = core.do(wanted)
    assert (report["state"], report["reason"]) == ("FAILED", "timeout")
    assert report["error"] == "Timeout after 00:00:00.200"
    assert list(report["outputs"]["outputFiles"]) == ["out.txt"]


def test_a_python_task_that_waits_is_interrupted_by_a_cancel(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        wanted = job({"type": "io.kestra.plugin.core.http.Request", "properties": {"uri": uri}})
        with runner(tmp_path) as core:
            core.start(wanted)
            connection, _ = silent.accept()
            core.cancel(wanted)
            report = core.report(wanted)
            connection.close()
    assert (report["state"], report["reason"]) == ("KILLED", "killed")


def test_a_job_whose_worker_dies_is_reported_by_the_supervisor(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    wanted = commands(f"echo $PPID > {note}", "echo ready", "sleep 600")
    with runner(tmp_path) as core:
        core.start(wanted)
        core.line("ready")
        killed = []
        for pid in children(core):
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(pid) == os.getsid(0):  # a worker: a command has a session of its own
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
        assert all(gone(pid) for pid in killed)
        report = core.report(wanted)
        assert (report["state"], report["reason"]) == ("FAILED", "runner-lost")
        assert core.line("The worker that ran this task was ended by SIGKILL")
        assert core.do(commands("true", key="next"))["state"] == "SUCCESS"


@pytest.mark.parametrize("escape", [SETSID, DOUBLE_FORK], ids=["setsid", "double fork"])
def test_nothing_is_left_when_core_goes_away(tmp_path: Path, escape: str) -> None:
    note = tmp_path / "pid"
    with runner(tmp_path) as core:
        core.start(commands(escape.format(note), "echo ready", "sleep 600"))
        core.line("ready")
    assert gone(pid_in(note))
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("escape", [SETSID, DOUBLE_FORK], ids=["setsid", "double fork"])
def test_nothing_is_left_when_the_supervisor_is_killed(tmp_path: Path, escape: str) -> None:
    note, main = tmp_path / "pid", tmp_path / "main"
    with runner(tmp_path) as core:
        core.start(commands(f"echo $$ > {main}", escape.format(note), "echo ready", "sleep 600"))
        core.line("ready")
        os.kill(core.pid, signal.SIGKILL)
        assert gone(pid_in(note))
        assert gone(pid_in(main))


def test_what_an_earlier_runner_left_is_swept_at_the_start(tmp_path: Path) -> None:
    left = tmp_path / "work" / "old-1"
    (left / "work").mkdir(parents=True)
    stray = os.posix_spawn(
        "/bin/sleep", ["sleep", "600"], {"PENSTOCK_JOB_DIR": str(left)}, setsid=True
    )
    with runner(tmp_path) as core:
        core.do(commands("true"))
        assert gone(stray)
        assert not left.exists()
    os.waitpid(stray, 0)


def test_a_line_of_a_megabyte_is_split_with_a_mark(tmp_path: Path) -> None:
    wanted = commands("head -c 1000000 /dev/zero | tr '\\0' x", "echo", "echo end")
    with runner(tmp_path) as core:
        core.do(wanted)
        texts = core.texts(wanted)
    mark = " [continued on the next line]"
    assert texts[-1] == "end"
    assert sum(text.removesuffix(mark).count("x") for text in texts[:-1]) == 1_000_000
    assert all(text.endswith(mark) for text in texts[:-2])
    assert max(map(len, texts)) <= 64 * 1024 + len(mark)


def test_a_secret_written_in_two_parts_is_masked(tmp_path: Path) -> None:
    wanted = commands(
        "printf 'the token is tok'; sleep 1.3; printf 'en-value-1\\n'",
        env={"T": "{{ secret('TOKEN') }}"},
    )
    with runner(tmp_path, secrets={"TOKEN": "token-value-1"}) as core:
        core.do(wanted)
        said = "".join(core.texts(wanted))
    assert "value" not in said
    assert said == "the token is ******"


def test_secrets_and_masks_are_hidden_in_every_disguise(tmp_path: Path) -> None:
    wanted = job(
        {
            "type": "io.kestra.plugin.scripts.shell.Commands",
            "properties": {
                "commands": [
                    "echo $T; printf %s $T | base64; printf a%s $T | base64",
                    "echo '::add-mask::later-secret'; echo now later-secret",
                    "echo from-input",
                    "exit 1",
                ],
                "env": {"T": "{{ secret('token') }}"},
            },
        },
        masks=("from-input",),
    )
    with runner(tmp_path, secrets={"TOKEN": "s3cr3t-value"}) as core:
        core.do(wanted)
        said = "\n".join(core.texts(wanted))
    assert "s3cr3t" not in said
    assert "czNjcjN0" not in said
    assert "later-secret" not in said
    assert "from-input" not in said
    assert said.count("******") >= 5


def test_progress_invalid_text_and_annotations_are_tidied(tmp_path: Path) -> None:
    wanted = commands(
        "printf '10%%\\r50%%\\r100%%\\n'",
        "printf 'bad \\377 byte\\n'",
        "printf '\\033[31mred\\033[0m\\033[2Kx\\n'",
        "echo '::error file=a.py,line=3::it is%0Abroken'",
        "echo '::group::Build'",
    )
    with runner(tmp_path) as core:
        report = core.do(wanted)
        said = [(line[2], line[3]) for line in core.lines(wanted)]
    assert said == [
        ("INFO", "100%"),
        ("INFO", "bad \ufffd byte"),
        ("INFO", "\x1b[31mred\x1b[0mx"),
        ("ERROR", "a.py:3: it is\nbroken"),
        ("INFO", "::group::Build"),
    ]
    assert report["notes"] == {
        "annotations": [{"level": "error", "message": "it is\nbroken", "file": "a.py", "line": "3"}]
    }


def test_the_output_file_and_the_summary_are_read(tmp_path: Path) -> None:
    wanted = commands(
        'echo "a=1" >> $PENSTOCK_OUTPUT',
        'printf "b<<END\\nx\\ny\\nEND\\n" >> $PENSTOCK_OUTPUT',
        'echo "# Done" > $PENSTOCK_STEP_SUMMARY',
    )
    with runner(tmp_path) as core:
        report = core.do(wanted)
    assert report["outputs"]["vars"] == {"a": "1", "b": "x\ny"}
    uri = report["notes"]["summary"]
    assert LocalStorage(tmp_path / "storage").read_bytes(uri) == b"# Done\n"


def test_outputs_over_the_limit_fail_the_task(tmp_path: Path) -> None:
    wanted = commands("printf 'a=%s\\n' xxxxxxxxxxxxxxxxxxxx > $PENSTOCK_OUTPUT")
    with runner(tmp_path, limits=Limits(output_bytes=20)) as core:
        report = core.do(wanted)
    assert report["state"] == "FAILED"
    assert "outputFiles" in report["error"]


def test_a_flood_of_output_is_cut_and_the_end_is_kept(tmp_path: Path) -> None:
    limits = Limits(log_bytes=2 * 1024 * 1024)
    wanted = commands("seq 1 600000", "echo the end")
    with runner(tmp_path, limits=limits) as core:
        core.do(wanted)
        texts = core.texts(wanted)
    assert texts[0] == "1"
    assert texts[-1] == "the end"
    assert any("lines are left out here" in text for text in texts)
    assert sum(map(len, texts)) < 2.2 * 1024 * 1024
    assert [line[0] for line in core.lines(wanted)] == list(range(1, len(texts) + 1))


def test_jobs_run_side_by_side_up_to_the_slots_and_the_rest_wait(tmp_path: Path) -> None:
    go = tmp_path / "go"
    wanted = [
        commands("echo begun", f"while ! test -e {go}; do sleep 0.02; done", key=f"j{n}")
        for n in range(6)
    ]
    with runner(tmp_path, slots=2) as core:
        core.send(*[each.to_wire() for each in wanted])
        core.until("second start", lambda m: m["type"] == "logs" and m["key"] == "j1")
        core.until("first start", lambda m: m["type"] == "logs" and m["key"] == "j0")
        core.cancel(wanted[5])
        assert core.report(wanted[5])["state"] == "KILLED"
        assert sum(m["type"] == "started" for m in core.seen) == 2
        go.touch()
        assert [core.report(each)["state"] for each in wanted[:5]] == ["SUCCESS"] * 5


def test_a_worker_is_replaced_after_its_jobs(tmp_path: Path) -> None:
    with runner(tmp_path, limits=Limits(jobs_per_worker=2)) as core:
        states = [core.do(commands("true", key=f"j{n}"))["state"] for n in range(7)]
    assert states == ["SUCCESS"] * 7


def has_children(core: Runner, number: int) -> None:
    """Wait until the runner has so many child processes."""
    until = time.monotonic() + DEADLINE
    while len(found := children(core)) != number:
        assert time.monotonic() < until, found
        select.select([], [], [], 0.02)


def test_workers_that_are_idle_for_long_are_let_go_but_one(tmp_path: Path) -> None:
    go = tmp_path / "go"
    wanted = [
        commands("echo begun", f"while ! test -e {go}; do sleep 0.02; done", key=f"j{n}")
        for n in range(4)
    ]
    with runner(tmp_path, limits=Limits(idle_worker=0.2)) as core:
        core.send(*[each.to_wire() for each in wanted])
        for each in wanted:
            core.until(each.key, lambda m, k=each.key: m["type"] == "logs" and m["key"] == k)
        # A worker that was idle for long while the others began may still be on its way out.
        has_children(core, 8)
        go.touch()
        for each in wanted:
            core.report(each)
        has_children(core, 1)
        assert core.do(commands("true", key="next"))["state"] == "SUCCESS"


def test_a_drained_runner_ends_its_jobs_and_itself(tmp_path: Path) -> None:
    go = tmp_path / "go"
    wanted = commands("echo begun", f"while ! test -e {go}; do sleep 0.02; done")
    with runner(tmp_path) as core:
        core.start(wanted)
        core.line("begun")
        core.send({"type": "drain"})
        go.touch()
        assert core.report(wanted)["state"] == "SUCCESS"
        assert gone(core.pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1], ids=["drained", "stopped"])
def test_a_runner_that_is_told_to_end_stops_its_jobs_and_reports_none_of_them(
    tmp_path: Path, number: int
) -> None:
    marks = tmp_path / "marks"
    wanted = commands(
        f"trap 'echo asked >> {marks}; exit 0' TERM",
        "echo begun",
        "while true; do sleep 0.02; done",
    )
    late = commands("true", key="late")
    with runner(tmp_path, limits=Limits(drain=0, leave=0, leave_grace=600)) as core:
        core.start(wanted)
        core.line("begun")
        os.kill(core.pid, number)
        core.start(late)
        with pytest.raises(ChannelClosed):
            core.until("report", lambda message: message["type"] == "report")
        assert gone(core.pid)
    assert marks.read_text() == "asked\n"


def test_a_second_signal_ends_the_wait_of_a_runner_that_drains(tmp_path: Path) -> None:
    wanted = commands("echo begun", "while true; do sleep 0.02; done")
    with runner(tmp_path, limits=Limits(drain=600, leave=0)) as core:
        core.start(wanted)
        core.line("begun")
        os.kill(core.pid, signal.SIGTERM)
        core.until("leaving", lambda message: message["type"] == "leaving")
        os.kill(core.pid, signal.SIGTERM)
        assert gone(core.pid)


def test_a_runner_shows_that_it_lives_also_while_it_has_nothing_to_do(tmp_path: Path) -> None:
    with runner(tmp_path, limits=Limits(beat=0.05)) as core:
        beats = itertools.count(1)
        core.until("three beats", lambda m: m["type"] == "beat" and next(beats) == 3)


def test_a_runner_whose_core_is_gone_before_it_begins_ends_without_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with runner(tmp_path) as core:
        core.channel.close()
        assert gone(core.pid)
    assert capfd.readouterr().err == ""


def test_a_job_that_only_renders_gives_the_values(tmp_path: Path) -> None:
    wanted = job(
        {"type": "", "kind": "", "properties": {}},
        variables={"xs": [1, 2]},
        evaluate={
            "purpose": "values",
            "expressions": {"values": "{{ xs }}", "text": "n={{ xs[0] }}"},
            "typed": ["values"],
        },
    )
    with runner(tmp_path) as core:
        report = core.do(wanted)
    assert (report["state"], report["outputs"]) == ("SUCCESS", {"values": [1, 2], "text": "n=1"})


def test_an_expression_that_takes_too_long_is_ended_with_its_worker(tmp_path: Path) -> None:
    wanted = job(
        {"type": "", "kind": "", "properties": {}},
        evaluate={
            "purpose": "condition",
            "expressions": {"condition": "{{ [1] | jq('[range(1e12)] | length') }}"},
        },
    )
    with runner(tmp_path, limits=Limits(evaluate=0.2)) as core:
        report = core.do(wanted)
        assert core.do(commands("true", key="next"))["state"] == "SUCCESS"
    assert (report["state"], report["reason"]) == ("FAILED", "timeout")


def test_a_job_with_megabytes_of_variables_reaches_its_worker(tmp_path: Path) -> None:
    wanted = job(
        {
            "type": "io.kestra.plugin.scripts.shell.Commands",
            "properties": {"commands": ["echo {{ large | length }}"]},
        },
        variables={"large": "x" * 5_000_000},
    )
    with runner(tmp_path) as core:
        core.channel.send(wanted.to_wire())
        while not core.channel.flush():
            select.select([], [core.channel], [], DEADLINE)
        assert core.report(wanted)["state"] == "SUCCESS"
        assert core.texts(wanted) == ["5000000"]


@pytest.mark.parametrize("how", ["drain", "TERM", "USR1"])
def test_a_job_that_comes_while_the_runner_drains_is_given_back(tmp_path: Path, how: str) -> None:
    go = tmp_path / "go"
    wanted = commands("echo begun", f"while ! test -e {go}; do sleep 0.02; done")
    late = commands("true", key="late")
    with runner(tmp_path, limits=Limits(leave=600)) as core:
        core.start(wanted)
        core.line("begun")
        if how == "drain":
            core.send({"type": "drain"})
        else:
            os.kill(core.pid, signal.Signals[f"SIG{how}"])
        core.until("leaving", lambda message: message["type"] == "leaving")
        core.start(late)
        back = core.until("returned", lambda message: message["type"] == "returned")
        go.touch()
        core.report(wanted)
    assert back["key"] == "late"


def test_an_expression_that_fails_fails_its_job(tmp_path: Path) -> None:
    wanted = job(
        {"type": "", "kind": "", "properties": {}},
        evaluate={"purpose": "runIf", "expressions": {"runIf": "{{ nothing.here }}"}},
    )
    with runner(tmp_path) as core:
        report = core.do(wanted)
    assert report["state"] == "FAILED"
    assert "nothing" in report["error"]


def test_a_job_asks_core_for_keys_and_gets_answers(tmp_path: Path) -> None:
    wanted = commands("echo v={{ kv('k') }}")
    with runner(tmp_path) as core:
        core.start(wanted)
        call = core.until("call", lambda m: m["type"] == "call")
        at = "2026-01-01T00:00:00Z"
        entry = {"key": "k", "value": "7", "type": "STRING", "created": at, "updated": at}
        core.send({"type": "answer", "call": call["call"], "value": entry})
        assert core.report(wanted)["state"] == "SUCCESS"
        assert core.texts(wanted) == ["v=7"]
    assert (call["operation"], call["arguments"]) == (
        "kv.get",
        {"namespace": "team.app", "key": "k"},
    )


def test_an_answer_with_an_error_fails_the_task(tmp_path: Path) -> None:
    wanted = commands("echo {{ kv('k') }}")
    with runner(tmp_path) as core:
        core.start(wanted)
        call = core.until("call", lambda m: m["type"] == "call")
        core.send(
            {"type": "answer", "call": call["call"], "error": "gone", "error_type": "KeyExpired"}
        )
        report = core.report(wanted)
    assert report["state"] == "FAILED"
    assert "The requested value has expired" in report["error"]


def test_an_unknown_type_fails_its_job_and_names_it(tmp_path: Path) -> None:
    with runner(tmp_path) as core:
        report = core.do(job({"type": "io.example.Missing", "properties": {}}))
    assert report["state"] == "FAILED"
    assert "io.example.Missing" in report["error"]


def directory(*tasks: dict[str, Any], **properties: Any) -> Any:
    return job(
        {
            "type": "io.kestra.plugin.core.flow.WorkingDirectory",
            "kind": "io.kestra.plugin.core.flow.WorkingDirectory",
            "properties": properties,
            "branches": {"tasks": list(tasks)},
        },
        key="wd",
    )


def shell(name: str, *lines: str, **more: Any) -> dict[str, Any]:
    kind = "io.kestra.plugin.scripts.shell.Commands"
    task = {"id": name, "type": kind, "kind": kind, "properties": {"commands": list(lines)}}
    task["properties"] |= more.pop("properties", {})
    return {**task, **more}


def states(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(child["task_id"], child["state"]) for child in report["children"]]


def test_tasks_of_a_working_directory_share_files_outputs_and_environment(tmp_path: Path) -> None:
    wanted = directory(
        shell(
            "one",
            "cat in.txt > a.txt",
            """echo '::{"outputs":{"n":5}}::'""",
            "echo X=9 > $PENSTOCK_ENV",
        ),
        shell("two", "cat a.txt; echo n={{ outputs.one.vars.n }} x=$X y=$Y"),
        inputFiles={"in.txt": "shared"},
        outputFiles=["a.txt"],
        env={"Y": "1"},
    )
    with runner(tmp_path) as core:
        report = core.do(wanted)
        assert core.texts(wanted) == ["sharedn=5 x=9 y=1"]
    assert report["state"] == "SUCCESS"
    assert states(report) == [("one", "SUCCESS"), ("two", "SUCCESS")]
    assert [state for state, _ in report["children"][0]["history"]] == [
        "CREATED",
        "RUNNING",
        "SUCCESS",
    ]
    uri = report["outputs"]["outputFiles"]["a.txt"]
    assert LocalStorage(tmp_path / "storage").read_bytes(uri) == b"shared"


def test_a_working_directory_stops_at_the_first_failed_task(tmp_path: Path) -> None:
    wanted = directory(
        shell("off", "true", disabled=True),
        shell("maybe", "exit 1", allowFailure=True),
        shell("never", "true", runIf="{{ false }}"),
        shell("bad", "exit 4"),
        shell("after", "true"),
    )
    with runner(tmp_path) as core:
        report = core.do(wanted)
    assert (report["state"], report["exit_code"]) == ("FAILED", 4)
    assert states(report) == [("maybe", "WARNING"), ("never", "SKIPPED"), ("bad", "FAILED")]


def test_lines_of_a_task_in_a_working_directory_carry_its_name(tmp_path: Path) -> None:
    wanted = directory(shell("one", "echo a"), shell("two", "echo b"))
    with runner(tmp_path) as core:
        core.do(wanted)
        logs = [m for m in core.seen if m["type"] == "logs"]
    assert [(m["task_id"], [line[3] for line in m["lines"]]) for m in logs] == [
        ("one", ["a"]),
        ("two", ["b"]),
    ]


def test_the_cache_of_a_working_directory_is_there_the_next_time(tmp_path: Path) -> None:
    wanted = directory(
        shell("use", "cat kept.txt 2>/dev/null || echo none", properties={"failFast": False}),
        shell("make", "echo kept > kept.txt"),
        cache={"patterns": ["*.txt"], "ttl": "PT5M"},
    )
    with runner(tmp_path) as core:
        core.do(wanted)
        assert core.texts(wanted)[-1] == "none"
        core.seen.clear()
        core.do(wanted)
        assert core.texts(wanted)[-1] == "kept"


def test_killing_a_working_directory_kills_the_task_that_runs(tmp_path: Path) -> None:
    wanted = directory(shell("one", "echo ready", "sleep 600"), shell("two", "true"))
    with runner(tmp_path) as core:
        core.start(wanted)
        core.line("ready")
        core.cancel(wanted)
        report = core.report(wanted)
    assert report["state"] == "KILLED"
    assert states(report) == [("one", "KILLED")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run jobs as another user")
def test_jobs_run_as_the_user_of_the_runner() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        wanted = commands(
            "id -u", "cat in.txt > out.txt", inputFiles={"in.txt": "x"}, outputFiles=["*"]
        )
        with runner(folder, run_as=RunAs(user=65534, group=65534)) as core:
            report = core.do(wanted)
            assert core.texts(wanted) == ["65534"]
            assert list((folder / "work").iterdir()) == []
    assert sorted(report["outputs"]["outputFiles"]) == ["in.txt", "out.txt"]


def await_file(path: Path) -> None:
    """Wait for a file without reading what the runner says."""
    until = time.monotonic() + DEADLINE
    while not path.exists():
        assert time.monotonic() < until, path
        select.select([], [], [], 0.02)


def test_a_core_that_reads_late_loses_no_line(tmp_path: Path) -> None:
    begun, flooding = tmp_path / "begun", tmp_path / "flooding"
    wanted = commands(f"touch {flooding}; seq 1 300000")
    other = commands(f"touch {begun}; sleep 600", key="other")
    with runner(tmp_path) as core:
        core.start(other)
        await_file(begun)
        core.start(wanted)
        await_file(flooding)
        core.cancel(other)
        assert core.report(other)["state"] == "KILLED"
        core.report(wanted)
        assert core.texts(wanted) == [str(n) for n in range(1, 300001)]


def spare(folder: Path) -> list[Path]:
    """The folders that wait for another job."""
    return sorted(path for path in (folder / ".work.spare").iterdir() if path.exists())


def test_an_empty_workspace_is_used_again_and_a_changed_one_is_not(tmp_path: Path) -> None:
    look = commands("pwd; ls -A; ls -A ..; stat -c %a . ..", key="look")
    with runner(tmp_path) as core:
        core.do(commands("true", key="first"))
        [kept] = spare(tmp_path)
        number = kept.stat().st_ino
        core.do(look)
        assert spare(tmp_path)[0].stat().st_ino == number
        assert core.texts(look) == [f"{tmp_path}/work/run-look-1/work", "work", "700", "700"]
        core.do(commands("chmod 777 .", key="open"))
        core.do(commands("echo x > file; mkdir -p deep/er; chmod 0 deep", key="full"))
        core.seen.clear()
        core.do(look)
        assert core.texts(look)[1:] == ["work", "700", "700"]
        assert list((tmp_path / "work").iterdir()) == []
    assert list((tmp_path / ".work.spare").iterdir()) == []


def test_a_workspace_that_was_left_under_the_name_of_a_job_goes_first(tmp_path: Path) -> None:
    look = commands("ls -A", key="look")
    with runner(tmp_path) as core:
        core.do(commands("true", key="first"))
        (tmp_path / "work" / "run-look-1" / "work").mkdir(parents=True)
        (tmp_path / "work" / "run-look-1" / "work" / "old").touch()
        assert core.do(look)["state"] == "SUCCESS"
        assert core.texts(look) == []


def test_what_filters_and_functions_make_of_a_secret_is_masked(tmp_path: Path) -> None:
    wanted = commands(
        "echo upper {{ secret('PASSWORD') | upper }}",
        "echo hash {{ (secret('PASSWORD') ~ ':salt') | sha256 }}",
        "echo part {{ secret('PASSWORD') | substringBefore('-') }}",
        "echo field {{ fromJson(secret('ACCOUNT')).key | lower }}",
        "echo set {% set x = secret('PASSWORD') %}{{ x | replace({'e': '3'}) }}",
        "echo nested {{ render('{{ secret(\"PASSWORD\") }}') | upper }}",
        "echo plain {{ 'nothing' | upper }} {{ secret('PASSWORD') | length }}",
    )
    secrets = {"PASSWORD": "open-sesame-please", "ACCOUNT": '{"key": "ABCDEF123"}'}
    with runner(tmp_path, secrets=secrets) as core:
        core.do(wanted)
        said = core.texts(wanted)
    assert said == [
        "upper ******",
        "hash ******",
        "part ******",
        "field ******",
        "set ******",
        "nested ******",
        "plain NOTHING 18",
    ]
