"""Which failures are tried again and which are let pass, with real processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.cli.command import penstock

FLOW = """
id: failing
namespace: team
tasks:
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {{type: io.kestra.plugin.core.runner.Process}}
    commands: {commands}
    {more}
"""
RETRY = "retry: {{type: constant, interval: PT0.05S, maxAttempts: 3, {which}}}"


def ran(folder: Path, commands: str, *more: str) -> dict[str, Any]:
    """The only task run of a flow whose task is this."""
    path = folder / "flow.yaml"
    path.write_text(FLOW.format(commands=commands, more="\n    ".join(more)))
    told = penstock("run", path, "--format", "json", folder=folder)
    [run] = told.json["taskRuns"]
    return {"flow": told.json["state"], **run}


@pytest.mark.parametrize(
    ("commands", "which", "attempts"),
    [
        pytest.param("['exit 3']", "exitCodes: [3, 42]", 3, id="this exit code"),
        pytest.param("['exit 4']", "exitCodes: [3, 42]", 1, id="another exit code"),
        pytest.param("['exit 4']", "when: [exit]", 3, id="any exit"),
        pytest.param("['exit 4']", "when: [timeout, runner-lost, oom]", 1, id="no exit"),
        pytest.param("['sleep 9']", "when: [timeout]", 3, id="a time-out"),
        pytest.param("['sleep 9']", "when: [exit], exitCodes: [143]", 3, id="its exit code"),
        pytest.param("['sleep 9']", "when: [exit], exitCodes: [3]", 1, id="no time-out"),
    ],
)
def test_a_retry_may_name_the_failures_that_it_is_for(
    tmp_path: Path, commands: str, which: str, attempts: int
) -> None:
    found = ran(tmp_path, commands, RETRY.format(which=which), "timeout: PT0.3S")
    assert (found["flow"], found["state"], found["attempts"]) == ("FAILED", "FAILED", attempts)


def test_what_is_tried_again_may_succeed_and_each_attempt_has_a_workspace_of_its_own(
    tmp_path: Path,
) -> None:
    mark = tmp_path / "mark"
    commands = f"['test ! -e left', 'touch left', 'test -e {mark} || {{ touch {mark}; exit 3; }}']"
    found = ran(tmp_path, commands, RETRY.format(which="exitCodes: [3]"))
    assert (found["flow"], found["state"], found["attempts"]) == ("SUCCESS", "SUCCESS", 2)
    assert found["outputs"]["exitCode"] == 0


@pytest.mark.parametrize(("code", "state"), [(3, "WARNING"), (42, "WARNING"), (1, "FAILED")])
def test_only_the_named_exit_codes_are_let_pass(tmp_path: Path, code: int, state: str) -> None:
    found = ran(tmp_path, f"['exit {code}']", "allowFailure: {exitCodes: [3, 42]}")
    assert (found["flow"], found["state"]) == (state, state)
    assert found["outputs"]["exitCode"] == code


@pytest.mark.parametrize(
    ("asked", "offered", "state"),
    [
        ("runsOn: [linux, process]", (), "SUCCESS"),
        ("runsOn: [gpu=a100]", ("--offer", "GPU=a100"), "SUCCESS"),
        ("runsOn: gpu", (), "FAILED"),
        ("workerGroup: {key: gpu, fallback: CANCEL}", (), "CANCELLED"),
    ],
)
def test_a_run_without_a_server_has_labels_and_waits_for_no_other_runner(
    tmp_path: Path, asked: str, offered: tuple[str, ...], state: str
) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text(FLOW.format(commands="['true']", more=asked))
    told = penstock("run", path, *offered, "--format", "json", folder=tmp_path)
    assert told.json["state"] == state, told.err
    if state == "FAILED":
        assert "closest: local lacks gpu; no other runner will come" in told.err
