"""What tasks tell people who look: annotations, summaries, and folds in logs."""

from __future__ import annotations

from dataclasses import replace

from tests.api.building import Web
from tests.web.building import HOSTILE, attempt, run, steps

from penstock_runner.engine.state import Attempt, Execution, State
from penstock_server.web.notes import LONGEST, notes

FLOW = """
id: noted
namespace: team
tasks:
  - {id: check, type: io.kestra.plugin.core.log.Log, message: "hello"}
"""
SUMMARY = f"# Report\n\n| a | b |\n|---|---|\n| 1 | {HOSTILE} |\n"
ANNOTATIONS = [
    {"level": "error", "file": "a.py", "line": "3", "title": "E1", "message": HOSTILE},
    {"level": "notice", "message": "all the rest is well"},
]
URI = "kestra:///team/noted/executions/x1/tasks/check/run/summary-1.md"


def noted(web: Web, *, summary: bool = True) -> str:
    web.save(FLOW)
    if summary:
        web.storage.put_bytes(URI, SUMMARY.encode())
    last = replace(attempt(1, 0, 1), notes={"annotations": ANNOTATIONS, "summary": URI})
    check = run("check", State.CREATED, State.RUNNING, State.SUCCESS, attempts=(last,))
    execution = Execution(
        id="x1",
        namespace="team",
        flow_id="noted",
        flow_revision=1,
        history=steps(State.CREATED, State.RUNNING, State.SUCCESS),
        runs={check.key: check},
    )
    web.core.put(execution)
    return f"/executions/team/noted/{execution.id}"


def attempt_with(summary: str) -> Attempt:
    return replace(attempt(1, 0, 1), notes={"summary": summary})


def test_annotations_and_the_summary_are_on_the_page_of_the_execution(web: Web) -> None:
    page = web.client.get(noted(web)).text
    assert "<h3>Report</h3>" in page
    assert "<td>1</td>" in page
    assert "a.py:3" in page
    assert "all the rest is well" in page
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;") == 2


def test_long_summaries_share_the_room_of_a_page() -> None:
    runs = [
        run(name, State.CREATED, State.SUCCESS, attempts=(attempt_with(name),), order=order)
        for order, name in enumerate(("one", "two", "three"))
    ]
    execution = Execution(
        id="x1",
        namespace="team",
        flow_id="noted",
        flow_revision=1,
        history=steps(State.CREATED, State.SUCCESS),
        runs={one.key: one for one in runs},
    )
    found = notes(execution, lambda _, size: (b"word\n" * (LONGEST // 8))[:size])
    shown = [len(note.summary or "") > 10 for note in found]
    assert shown == [True, True, False]
    assert [note.file for note in found] == [None, "two", "three"]


def test_a_summary_whose_file_is_gone_is_left_out(web: Web) -> None:
    page = web.client.get(noted(web, summary=False)).text
    assert "a.py:3" in page
    assert "Report" not in page


def test_the_api_has_annotations_and_the_address_of_the_summary(web: Web) -> None:
    noted(web)
    [check] = web.client.get("/api/v1/executions/x1").json["taskRunList"]
    assert check["attempts"][0]["annotations"] == ANNOTATIONS
    assert check["attempts"][0]["summary"] == URI


def test_lines_of_a_group_are_between_its_title_and_its_end(web: Web) -> None:
    place = noted(web)
    web.log(
        "x1",
        ("INFO", "::group::Build <b>"),
        ("INFO", "inside"),
        ("INFO", "::endgroup::"),
        ("INFO", "section_start:15:t[collapsed=true]\rTests"),
        ("INFO", "section_end:16:t\r"),
    )
    page = web.client.get(f"{place}/logs").text
    lines = [line for line in page.split("<li ") if 'class="tx"' in line]
    assert 'data-fold="open"' in lines[0]
    assert ">Build &lt;b&gt;</button>" in lines[0]
    assert "data-fold" not in lines[1]
    assert 'data-fold="end" hidden' in lines[2]
    assert 'data-fold="shut"' in lines[3]
    assert ">Tests</button>" in lines[3]
