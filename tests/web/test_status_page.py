"""The status page: how things stand, for everybody when the settings say so."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from tests.api.building import NOON, Web, password
from tests.web.building import pages, steps

from penstock_runner.engine.state import Execution, State

FLOW = """id: nightly
namespace: team
inputs: [{id: who, type: STRING, defaults: hidden-input}]
tasks: [{id: hello, type: io.kestra.plugin.core.log.Log, message: hidden-line}]
"""


def failed(name: str) -> Execution:
    return Execution(
        id=name,
        namespace="team",
        flow_id="nightly",
        flow_revision=1,
        history=steps(State.CREATED, State.RUNNING, State.FAILED),
        inputs={"who": "hidden-input"},
    )


def test_it_tells_of_flows_and_executions_and_nothing_of_what_they_do(web: Web) -> None:
    web.save(FLOW)
    web.core.put(failed("x1"))
    page = web.client.get("/status")
    assert page.status_code == 200
    assert page.text.count("team.nightly") == 2
    assert page.text.count('data-state="FAILED"') == 2
    assert "hidden-" not in page.text
    assert all(link.startswith("/static/") for link in re.findall(r'href="([^"]*)', page.text))


@pytest.mark.parametrize(("public", "status"), [(True, 200), (False, 401)])
def test_the_settings_say_whether_it_asks_for_a_login(
    tmp_path: Path, *, public: bool, status: int
) -> None:
    web = pages(tmp_path, basic_auth=password("ada", "pw"), public_status=public)
    assert web.client.get("/status").status_code == status
    assert web.client.get("/status/main.svg").status_code == status
    assert web.client.get("/static/penstock.css").status_code == status
    assert web.client.get("/").status_code == 401
    assert web.client.get("/status/more").status_code in {401, 404}
    web.database.close()


def test_an_empty_service_has_a_status(web: Web) -> None:
    web.clock.at = NOON + timedelta(hours=1)
    assert web.client.get("/status").text.count("None.") == 3
