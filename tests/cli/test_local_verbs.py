from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.command import log_flow, penstock
from tests.live import wait_for

from penstock_server.config import read_env_file, read_settings

OUTPUTS = """id: sums
namespace: team.one
inputs:
  - {id: a, type: INT}
  - {id: rows, type: FILE, required: false}
tasks:
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: "{{ inputs.a }} and {{ secret('WORD') }}"
outputs:
  - {id: twice, type: INT, value: "{{ inputs.a * 2 }}"}
"""
FAILING = """id: bad
namespace: team.one
tasks:
  - {id: stop, type: io.kestra.plugin.core.execution.Fail}
"""
SLEEPING = """id: slow
namespace: team.one
tasks:
  - id: sleep
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    commands: ["echo begun; sleep 60"]
"""


def encoded(tmp_path: Path, text: str, *more: str) -> Path:
    raw, out = tmp_path / ".env", tmp_path / ".env_encoded"
    raw.write_text(text)
    told = penstock("secrets", "encode", raw, "-o", out, *more)
    assert told.code == 0, told.err
    return out


def test_a_flow_runs_with_inputs_and_secrets_and_says_its_outputs(tmp_path: Path) -> None:
    file = tmp_path / "sums.yml"
    file.write_text(OUTPUTS)
    secrets = encoded(tmp_path, "WORD=open sesame\n")
    told = penstock("run", file, "-i", "a=21", "--env-file", secrets, "--format", "json")
    assert told.code == 0, told.err
    assert (told.json["state"], told.json["outputs"]) == ("SUCCESS", {"twice": 42})
    assert "21 and ******" in told.err
    assert "sesame" not in told.out + told.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 1, "a"),
        (("-i", "a=many"), 1, "a"),
        (("-i", "nonsense"), 2, "KEY=VALUE"),
        (("-i", "a=1", "-i", "rows=@none.csv"), 2, "none.csv"),
        (("-i", "a=1", "-i", "row=2"), 2, "has no input row: did you mean 'rows'?"),
    ],
)
def test_inputs_that_do_not_fit_are_named(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "sums.yml"
    file.write_text(OUTPUTS)
    told = penstock("run", file, *arguments)
    assert (told.code, said in told.err) == (code, True), told.err


def test_a_failed_run_ends_with_1_and_an_invalid_flow_too(tmp_path: Path) -> None:
    file = tmp_path / "bad.yml"
    file.write_text(FAILING)
    assert penstock("run", file).code == 1
    file.write_text(FAILING.replace("execution.Fail", "execution.Fial"))
    told = penstock("run", file)
    assert (told.code, "UNKNOWN_TASK_TYPE" in told.err) == (1, True)


def test_ctrl_c_kills_the_run_and_ends_with_130(tmp_path: Path) -> None:
    file, log = tmp_path / "slow.yml", tmp_path / "log"
    file.write_text(SLEEPING)
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "penstock_server", "run", str(file)],
            stdout=stream,
            stderr=stream,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    try:
        wait_for(log.read_text, lambda said: "begun" in said)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()
    assert "KILLED" in log.read_text()


def test_validate_finds_all_faults_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "good.yml").write_text(log_flow("good"))
    (tmp_path / "bad.yaml").write_text(log_flow("bad").replace("message:", "massage:"))
    (tmp_path / "other.yml").write_text("services: {web: {image: nginx}}\n")
    hidden = tmp_path / ".github"
    hidden.mkdir()
    (hidden / "x.yml").write_text("id: 1\ntasks: []\n")
    told = penstock("validate", tmp_path, "--report", tmp_path / "r.json")
    assert told.code == 1
    assert "bad.yaml:6:5 UNKNOWN_PROPERTY" in told.out
    assert "2 flow files, 1 valid" in told.err
    assert json.loads((tmp_path / "r.json").read_text())["errors"]
    assert penstock("validate", tmp_path / "good.yml").code == 0


def test_validate_warns_of_tasks_that_no_runner_may_take(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text(log_flow("far") + "runsOn: [gpu, region=eu]\n")
    (tmp_path / "runners.yaml").write_text("w1: [GPU, region=us]\nw2: [cpu]\n")
    told = penstock("validate", tmp_path / "flow.yaml", "--runners", tmp_path / "runners.yaml")
    assert told.code == 0, told.err
    assert "NO_RUNNER_MATCHES" in told.out
    assert "0 of 2 runners match; closest: w1 lacks region=eu" in told.out


def test_github_gets_annotations_outputs_and_a_summary(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text(log_flow("bad").replace("message:", "massage:"))
    outputs, summary = tmp_path / "out", tmp_path / "summary"
    told = penstock(
        "validate",
        "bad.yml",
        "--format",
        "github",
        folder=tmp_path,
        GITHUB_OUTPUT=str(outputs),
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert told.code == 1
    assert told.out.startswith("::error file=bad.yml,line=6")
    assert "valid<<" in outputs.read_text()
    assert "UNKNOWN_PROPERTY" in summary.read_text()


def test_secrets_become_lines_that_the_service_reads(tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    key.write_text('{"type": "account"}\n')
    out = encoded(
        tmp_path,
        "# a comment\nAPI_KEY=s3cret=with=equals\nexport Quoted='two words'\nSECRET_OLD=x\n",
        "--file",
        f"GCP={key}",
    )
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    secrets = read_settings(environment=read_env_file(out), folder=tmp_path).secrets
    assert secrets == {
        "API_KEY": "s3cret=with=equals",
        "QUOTED": "two words",
        "OLD": "x",
        "GCP": '{"type": "account"}\n',
    }


def test_secrets_are_named_with_their_source_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("SECRET_GOOD=aHVudGVyMjI=\nSECRET_BAD=no base64!\nSECRET_SHORT=YWI=\n")
    told = penstock("secrets", "list", "--env-file", file)
    assert told.code == 1
    assert "GOOD\tenvironment\tall\tok" in told.out
    assert "SHORT\tenvironment\tall\thas fewer than 3 characters" in told.out
    assert "SECRET_BAD" in told.err
    assert "hunter22" not in told.out + told.err
    assert "2 secrets, 2 faults" in told.err


def test_the_doctor_counts_secrets_and_names_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("SECRET_EMPTY=\nSECRET_SHORT=YWJj\nSECRET_TWO=aHVudGVyMjI=\n")
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "two").write_text("another")
    (tmp_path / "penstock.yaml").write_text("secret: {dir: given}\n")
    told = penstock("doctor", "secrets", "--env-file", file, folder=tmp_path)
    assert told.code == 1
    assert "EMPTY\tenvironment\tall\tis empty" in told.out
    assert "SHORT\tenvironment\tall\thas 3 characters" in told.out
    assert "is given twice; what is used comes from" in told.out
    assert "3 secrets, 3 faults" in told.err
    good = tmp_path / "good"
    good.write_text("SECRET_TWO=aHVudGVyMjI=\n")
    (tmp_path / "penstock.yaml").unlink()
    assert penstock("doctor", "secrets", "--env-file", good, folder=tmp_path).code == 0


def test_secrets_are_written_over_an_open_file_closed_to_others(tmp_path: Path) -> None:
    out = tmp_path / ".env_encoded"
    out.write_text("old")
    out.chmod(0o644)
    encoded(tmp_path, "A=b\n")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env", ".env_encoded"]


def test_without_a_file_the_lines_are_printed(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=b\n")
    told = penstock("secrets", "encode", folder=tmp_path)
    assert told.out == f"SECRET_A={base64.b64encode(b'b').decode()}\n"


@pytest.mark.parametrize(
    ("text", "arguments", "code", "said"),
    [
        ("A b\n", [], 2, ".env:1"),
        ("A=1\n", ["--file", "A=.env"], 2, "given twice"),
        ("A=1\n", ["--file", "B"], 2, "NAME=PATH"),
        ("A=1\n", ["--file", "B=nowhere"], 2, "nowhere"),
        ("A=1\n", ["--file", "B=binary"], 1, "not UTF-8"),
        ("A=1\n", ["-o", ".env"], 2, "raw values"),
        ("A=1\n", ["-o", "none/there"], 2, "none/there"),
        ("# nothing\n", [], 2, "no value"),
    ],
)
def test_what_cannot_be_a_secret_is_named(
    text: str, arguments: list[str], code: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(text)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    told = penstock("secrets", "encode", ".env", *arguments, folder=tmp_path)
    assert (told.code, said in told.err) == (code, True), told.err


def test_a_store_is_made_and_found_up_to_date(tmp_path: Path) -> None:
    made = penstock("db", "upgrade", "--home", tmp_path / "home")
    assert (made.code, "made" in made.out) == (0, True)
    again = penstock("db", "upgrade", "--home", tmp_path / "home")
    assert "up to date" in again.out
    with sqlite3.connect(tmp_path / "home" / "penstock.db") as store:
        assert store.execute("SELECT count(*) FROM executions").fetchone() == (0,)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["backup", "b.db", "--home", "nowhere"], 2, "--home"),
        (["upgrade", "--database-url", "postgresql://u:hidden@127.0.0.1:1/x"], 3, "127.0.0.1"),
        (["upgrade", "--database-url", "mysql://x"], 3, "sqlite"),
    ],
)
def test_a_store_that_cannot_be_used_is_named(
    arguments: list[str], code: int, said: str, tmp_path: Path
) -> None:
    told = penstock("db", *arguments, folder=tmp_path)
    assert (told.code, said in told.err) == (code, True), told.err
    assert "hidden" not in told.err
