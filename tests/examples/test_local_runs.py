"""Example flows run with `penstock run`, as a reader of the README would."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
FLOWS = PROJECT / "examples" / "flows"
PENSTOCK = (sys.executable, "-m", "penstock_server")
LONGEST_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What `penstock run --format json` said."""

    exit_code: int
    result: dict[str, Any]
    log: str

    @property
    def outputs(self) -> dict[str, Any]:
        outputs: dict[str, Any] = self.result["outputs"]
        return outputs

    def runs_of(self, task_id: str) -> list[dict[str, Any]]:
        return [run for run in self.result["taskRuns"] if run["taskId"] == task_id]


def run(flow: str, *options: str) -> Run:
    done = subprocess.run(
        [*PENSTOCK, "run", str(FLOWS / flow), "--format", "json", *options],
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert done.stdout, done.stderr
    return Run(exit_code=done.returncode, result=json.loads(done.stdout), log=done.stderr)


def test_hello_greets_whom_it_is_told() -> None:
    ended = run("hello.yaml", "-i", "name=Ada")
    assert ended.exit_code == 0
    assert "Hello, Ada!" in ended.log


def test_the_csv_pipeline_counts_what_it_keeps() -> None:
    ended = run("orders_pipeline.yaml", "-i", "rows=70")
    assert ended.exit_code == 0
    assert (ended.outputs["rows"], ended.outputs["dropped"]) == (60, 10)
    assert ended.outputs["file"].endswith("clean.csv")
    assert "60 orders worth 3150.0, 10 rows dropped" in ended.log


def test_a_retry_works_at_the_third_attempt() -> None:
    ended = run("retry_and_errors.yaml")
    assert ended.exit_code == 0
    assert [one["attempts"] for one in ended.runs_of("flaky")] == [3]
    assert ended.runs_of("tell") == []


def test_the_errors_branch_runs_when_no_attempt_works() -> None:
    ended = run("retry_and_errors.yaml", "-i", "works_at=9")
    assert (ended.exit_code, ended.result["state"]) == (1, "FAILED")
    assert [one["state"] for one in ended.runs_of("tell")] == ["SUCCESS"]
    assert ended.runs_of("after") == []


def test_each_country_is_loaded_once() -> None:
    ended = run("countries_in_parallel.yaml", "-i", 'countries=["de","fr","es","it"]')
    assert ended.exit_code == 0
    assert sorted(one["value"] for one in ended.runs_of("load")) == ["de", "es", "fr", "it"]
    assert ended.outputs == {"countries": 4}


def test_the_cursor_moves_on_and_the_secret_is_not_shown(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.env"
    secrets.write_text(f"SECRET_API_TOKEN={base64.b64encode(b'very-secret-token').decode()}\n")
    ended = run("cursor_and_secret.yaml", "--env-file", str(secrets))
    assert ended.exit_code == 0
    assert ended.outputs == {"cursor": 100}
    assert "with the token ******" in ended.log
    assert "very-secret-token" not in ended.log


def test_an_order_without_a_country_goes_the_default_way() -> None:
    ended = run("order_received.yaml")
    assert ended.exit_code == 0
    assert [one["taskId"] for one in ended.result["taskRuns"]] == ["by_country", "abroad"]


def test_the_nightly_flow_runs_the_pipeline_as_a_subflow() -> None:
    ended = run("nightly_totals.yaml")
    assert ended.exit_code == 0
    assert "215 orders on " in ended.log


@pytest.mark.parametrize("name", ["alpha", "v1.2"])
def test_the_scripts_of_the_push_example_test_build_and_deploy(tmp_path: Path, name: str) -> None:
    scripts = FLOWS / "scripts"
    commands = [
        f"{scripts}/test.sh",
        f"{scripts}/build.sh {name}",
        f"{scripts}/deploy.sh staging dist/app-{name}.tar.gz",
    ]
    said = [
        subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout
        for command in commands
    ]
    assert said[-1] == f"version {name} is on staging: Hello, staging!\n"
