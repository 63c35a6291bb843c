"""The first flow of a public course, unchanged: pushed, started, limited, logged."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.courses import course_flow
from tests.e2e.gitting import clone, needs_git
from tests.live import live_service, wait_for

pytestmark = [pytest.mark.e2e, needs_git]


def test_the_hello_flow_runs_as_it_is_and_a_third_at_once_fails(tmp_path: Path) -> None:
    text = course_flow("01_hello_world.yaml")
    with live_service(tmp_path, options=["--examples"]) as service:
        wait_for(
            lambda: service.get("/api/v1/main/git/sources").json(),
            lambda sources: all(one.get("appliedCommit") for one in sources),
        )
        clone(service.home / "examples.git", tmp_path / "clone").push({"hello/01.yaml": text})
        wait_for(
            lambda: service.get("/api/v1/main/flows/zoomcamp/01_hello_world").status_code,
            lambda status: status == 200,
        )
        first = service.start_flow("zoomcamp", "01_hello_world")
        second = service.start_flow("zoomcamp", "01_hello_world", name="Ada")
        third = service.start_flow("zoomcamp", "01_hello_world")
        assert service.ended(third)["state"]["current"] == "FAILED"
        for execution_id, name in ((first, "Will"), (second, "Ada")):
            assert service.ended(execution_id)["state"]["current"] == "SUCCESS"
            lines = service.get(
                f"/api/v1/main/logs/{execution_id}", params={"minLevel": "ERROR"}
            ).json()
            assert [line["message"] for line in lines] == [
                f"Hello, {name}!",
                "This is an output: I was generated during this workflow.",
                f"Goodbye, {name}!",
            ]
        found = service.get("/api/v1/main/triggers/search").json()["results"]
        assert not [one for one in found if one.get("nextExecutionDate") and "zoomcamp" in str(one)]
