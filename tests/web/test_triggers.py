"""The page of a flow's triggers: what each does next, and the forms that change it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.api.building import NOON, Web
from tests.web.building import pages
from tests.web.test_pages import shown

from penstock_server.core.client import CoreRefused
from penstock_server.web.triggers import Unreadable, asked_for

PATH = "/flows/team/greet/triggers"
FLOW = """
id: greet
namespace: team
tasks: [{id: t, type: io.kestra.plugin.core.log.Log, message: hi}]
triggers:
  - id: monthly
    type: io.kestra.plugin.core.trigger.Schedule
    cron: "0 9 1 * *"
    timezone: America/New_York
  - {id: hook, type: io.kestra.plugin.core.trigger.Webhook, key: open-sesame}
  - {id: files, type: io.kestra.plugin.fs.local.Trigger, from: /in}
"""
FILL = {
    "start": "2023-01-01T00:00:00Z",
    "end": "2024-12-31T23:59:59Z",
    "currentDate": "2024-03-01T14:00:00Z",
    "paused": False,
}


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    made = pages(tmp_path)
    made.save(FLOW)
    yield made
    made.database.close()


def test_the_next_dates_are_shown_and_the_key_of_a_webhook_is_not(web: Web) -> None:
    web.trigger("monthly", next_date=NOON + timedelta(days=1, hours=2))
    web.trigger("hook", type="io.kestra.plugin.core.trigger.Webhook")
    page = shown(web, PATH)
    assert "0 9 1 * *" in page
    assert "2026-03-01T14:00:00" in page
    assert "2026-04-01T13:00:00" in page
    assert "…/webhook/team/greet/••••" in page
    assert "open-sesame" not in page
    assert "New backfill" in page


def test_a_backfill_shows_how_far_it_is_and_can_be_paused_and_cancelled(web: Web) -> None:
    web.trigger("monthly", next_date=NOON, backfill=FILL)
    page = shown(web, PATH)
    assert "<b>14 of 24</b> dates" in page
    assert 'aria-label="58 percent done"' in page
    for action in ("pause", "cancel"):
        assert f'action="{PATH}/monthly/{action}"' in page
    assert "New backfill" not in page


def test_a_paused_backfill_can_go_on(web: Web) -> None:
    web.trigger("monthly", backfill={**FILL, "paused": True})
    page = shown(web, PATH)
    assert f'action="{PATH}/monthly/resume"' in page
    assert f'action="{PATH}/monthly/pause"' not in page
    assert "It waits before" in page


def test_too_many_dates_are_not_counted_but_the_share_is_told(web: Web) -> None:
    web.client.put("/api/v1/flows/team/greet", data=FLOW.replace("0 9 1 * *", "* * * * *"))
    web.trigger("monthly", backfill={**FILL, "end": "2025-03-01T00:00:00Z"})
    assert "<b>54 %</b> of" in shown(web, PATH)


@pytest.mark.parametrize(
    ("action", "operation"),
    [
        ("pause", "backfill.pause"),
        ("resume", "backfill.unpause"),
        ("cancel", "backfill.delete"),
        ("unlock", "trigger.unlock"),
        ("restart", "trigger.restart"),
    ],
)
def test_each_button_does_what_it_says(
    web: Web, action: str, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(web.core, "call", lambda name, **given: calls.append((name, given)))
    answer = web.client.post(f"{PATH}/monthly/{action}")
    assert (answer.status_code, answer.headers["Location"]) == (303, PATH)
    name = {"namespace": "team", "flow_id": "greet", "trigger_id": "monthly"}
    assert calls == [(operation, name)]


def test_a_button_that_is_not_there_is_404(web: Web) -> None:
    assert web.client.post(f"{PATH}/monthly/explode").status_code == 404


def test_a_locked_trigger_can_be_unlocked_and_a_poll_restarted(web: Web) -> None:
    web.trigger("monthly", next_date=NOON, execution_id="4Xf1d8QyZ0aBcDeFgHiJkL")
    web.trigger("files", next_date=NOON, type="io.kestra.plugin.fs.local.Trigger")
    page = shown(web, PATH)
    assert f'action="{PATH}/monthly/unlock"' in page
    assert f'action="{PATH}/files/restart"' in page
    assert f'action="{PATH}/monthly/restart"' not in page
    assert "local.Trigger" in page


def test_a_backfill_is_begun_by_the_form(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(web.core, "call", lambda name, **given: calls.append(given))
    form = {
        "trigger": "monthly",
        "start": "2023-01-01T00:00",
        "end": "2023-12-31T00:00",
        "labels": "why: late",
        "inputs": '{"full": true}',
    }
    assert web.client.post("/flows/team/greet/backfill", data=form).status_code == 303
    [given] = calls
    assert given["trigger_id"] == "monthly"
    assert given["backfill"] == {
        "start": "2023-01-01T00:00:00+00:00",
        "end": "2023-12-31T00:00:00+00:00",
        "labels": [{"key": "why", "value": "late"}],
        "inputs": {"full": True},
    }


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({}, "start"),
        ({"start": "soon"}, "start"),
        ({"start": "2023-01-02", "end": "2023-01-01"}, "end"),
        ({"start": "2023-01-01", "labels": "nothing"}, "labels"),
        ({"start": "2023-01-01", "inputs": "[1]"}, "inputs"),
    ],
)
def test_what_does_not_fit_is_said_beside_its_field(
    web: Web, form: dict[str, str], field: str
) -> None:
    with pytest.raises(Unreadable) as wrong:
        asked_for(form)
    assert wrong.value.field == field
    web.trigger("monthly", next_date=NOON)
    answer = web.client.post("/flows/team/greet/backfill", data=form)
    assert answer.status_code == 422
    assert f'id="e-{field}"' in answer.text
    assert 'aria-invalid="true"' in answer.text


def test_what_core_refuses_is_said_on_the_page(web: Web) -> None:
    web.trigger("monthly", next_date=NOON)
    web.core.refusal = CoreRefused("another backfill is under way", 409)
    form = {"trigger": "monthly", "start": "2023-01-01"}
    answer = web.client.post("/flows/team/greet/backfill", data=form)
    assert answer.status_code == 422
    assert "another backfill is under way" in answer.text
