"""The bench runs: tiny counts, one figure in this process and one with a service."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from bench.__main__ import main
from tests.postgres import binaries


def measured(file: Path, *names: str) -> list[str]:
    """The names of the figures that a quick run has measured."""
    assert main([*names, "--quick", "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    assert report["quick"] is True
    for figure in report["figures"]:
        assert figure["minimum"] <= figure["median"] <= figure["maximum"]
    return [figure["name"] for figure in report["figures"]]


def test_figures_of_this_process_are_measured_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = measured(tmp_path / "results" / "one.json", "expressions", "parse")
    assert names == ["three expressions rendered", "parse and check a flow of 60 tasks"]
    told = capsys.readouterr()
    assert "plain Jinja2" in told.out
    assert "2/2 parse" in told.err


@pytest.mark.e2e
def test_a_service_is_started_loaded_and_read_back(tmp_path: Path) -> None:
    names = measured(tmp_path / "one.json", "core-tasks", "webhooks-sqlite")
    assert names[0].startswith("core tasks of one run")
    assert len(names) == 4


def test_what_an_execution_costs_is_split_by_step_and_adds_up(tmp_path: Path) -> None:
    measured(tmp_path / "one.json", "steps")
    figures = json.loads((tmp_path / "one.json").read_text())["figures"]
    whole, *steps = [figure["median"] for figure in figures]
    assert [figure["name"] for figure in figures[1:4]] == ["- engine", "- rendering", "- rows"]
    assert whole == pytest.approx(sum(steps))


@pytest.mark.e2e
def test_jobs_are_run_killed_and_compared_with_what_the_machine_does(tmp_path: Path) -> None:
    names = measured(tmp_path / "one.json", "shell-fan-out", "shell-kill", "nested-loops")
    assert names[1] == "a kill has ended the process of a job"
    assert len(names) == 3


@pytest.mark.e2e
@pytest.mark.postgres
@pytest.mark.skipif(binaries() is None, reason="needs the programs of PostgreSQL")
def test_webhooks_are_called_beside_followers_and_after_many_executions(tmp_path: Path) -> None:
    names = measured(
        tmp_path / "one.json", "webhooks-slow", "webhooks-followed", "webhooks-after-many"
    )
    assert names[0] == "webhook runs, PostgreSQL that takes 3 ms more a commit"
    assert len(names) == 5


@pytest.mark.e2e
def test_a_storm_of_calls_is_counted_and_all_that_was_accepted_has_run(tmp_path: Path) -> None:
    names = measured(tmp_path / "one.json", "webhook-storm")
    assert names[0] == "webhook storm, calls answered"
    assert len(names) == 4


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["speed"]) == 2
    assert "no figure is called speed" in capsys.readouterr().err


@pytest.mark.e2e
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git, to make a repository")
def test_a_repository_is_made_synced_polled_and_changed(tmp_path: Path) -> None:
    names = measured(tmp_path / "one.json", "git-first", "git-poll", "git-one-file")
    assert names[0] == "first sync of 60 files"
    assert len(names) == 5
