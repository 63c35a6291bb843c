"""Checks of a flow, as the API, the page and the command line tell of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.live import Service, live_service

pytestmark = pytest.mark.e2e

FLOW = """
id: build
namespace: team
inputs:
  - {id: n, type: INT, defaults: 1}
checks:
  - {condition: "{{ inputs.n > 0 }}", message: n must be positive, style: ERROR}
  - {condition: "{{ inputs.n != 7 }}", message: seven fails, behavior: FAIL_EXECUTION}
  - {condition: "{{ inputs.n > 3 }}", message: n is rather small, style: WARNING,
     behavior: CREATE_EXECUTION}
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: done}
"""
START = "/api/v1/main/executions/team/build"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with live_service(tmp_path_factory.mktemp("checks")) as running:
        running.put_flow(FLOW)
        yield running


@pytest.mark.parametrize(
    ("n", "told"),
    [
        ("0", [("n must be positive", "ERROR", "BLOCK_EXECUTION"), 2]),
        ("7", [("seven fails", "INFO", "FAIL_EXECUTION")]),
        ("2", [2]),
        ("5", []),
        ("five", []),
    ],
)
def test_the_answer_to_a_validation_has_the_checks_that_fail(
    service: Service, n: str, told: list[object]
) -> None:
    small = ("n is rather small", "WARNING", "CREATE_EXECUTION")
    answer = service.post(f"{START}/validate", files={"n": (None, n)}).json()
    found = [(one["message"], one["style"], one["behavior"]) for one in answer["checks"]]
    assert found == [small if one == 2 else one for one in told]
    assert answer["inputs"][0]["input"]["id"] == "n"


def test_a_start_is_refused_fails_or_goes_on_as_its_checks_say(service: Service) -> None:
    refused = service.post(START, files={"n": (None, "0")})
    assert refused.status_code == 422
    assert "Flow execution blocked: n must be positive" in refused.json()["message"]
    failed = service.ended(service.start_flow("team", "build", n="7"))
    assert failed["state"]["current"] == "FAILED"
    noted = service.ended(service.start_flow("team", "build", n="2"))
    assert noted["state"]["current"] == "SUCCESS"
    lines = service.get(f"/api/v1/main/logs/{noted['id']}").json()
    assert ("WARN", "n is rather small") in [(one["level"], one["message"]) for one in lines]


def test_the_form_of_the_page_shows_what_fails(service: Service) -> None:
    assert "n is rather small" in service.get("/execute/team/build").text
    again = service.post("/execute/team/build", data={"in.n": "0"})
    assert again.status_code == 422
    assert "This start is blocked" in again.text
    assert "n must be positive" in again.text


def test_the_command_line_says_why_it_does_not_run(tmp_path: Path) -> None:
    file = tmp_path / "build.yaml"
    file.write_text(FLOW, "utf-8")
    command = [sys.executable, "-m", "penstock_server", "run", str(file), "-i", "n=0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Flow execution blocked: n must be positive" in done.stderr
