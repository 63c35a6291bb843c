from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from sqlalchemy import event
from tests.api.building import NOON, Web, password
from tests.web.building import ASK, GREET, HOSTILE, attempt, execution, pages, run, steps

from penstock_runner.engine.state import State, TriggerOrigin
from penstock_runner.executor.links import link
from penstock_runner.executor.store import Batch, LogRow
from penstock_runner.tasks.api import KvEntry
from penstock_server.core.client import CoreRefused
from penstock_server.store import flows, runners, sources, syncs
from penstock_server.store.flow_rows import Commit

SCHEDULED = """
id: hourly
namespace: team
tasks: [{id: a, type: io.kestra.plugin.core.log.Log, message: x}]
triggers:
  - {id: every, type: io.kestra.plugin.core.trigger.Schedule, cron: "0 * * * *"}
  - {id: hook, type: io.kestra.plugin.core.trigger.Webhook, key: open-sesame}
"""
PLAIN = ("/", "/flows", "/executions", "/git", "/kv", "/runners", "/palette?q=gre")
OF_FLOW = tuple(
    f"/flows/team/greet{tab}" for tab in ("", "/source", "/topology", "/revisions", "/triggers")
)
TABS = ("", "/logs", "/outputs", "/topology")


class Strict(HTMLParser):
    """Notes what a strict policy forbids, and ids that are there twice."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.ids: set[str] = set()
        self.headings = 0
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._script = tag == "script"
        self.headings += tag == "h1"
        if tag == "style" or (tag == "script" and "src" not in values):
            self.faults.append(f"inline <{tag}>")
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.faults.append(f"{name} on <{tag}>")
            if name in {"href", "src", "action"} and (value or "").lower().startswith("javascript"):
                self.faults.append(f"{name}={value}")
        if (name := values.get("id")) is not None:
            if name in self.ids:
                self.faults.append(f"id {name} twice")
            self.ids.add(name)

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.faults.append("inline script")
        self._script = False


def shown(web: Web, path: str, status: int = 200) -> str:
    """A page, checked for what every page has to keep to."""
    answer = web.client.get(path)
    assert answer.status_code == status, answer.text[-2000:]
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]
    parser = Strict()
    parser.feed(answer.text)
    assert parser.faults == []
    if not path.startswith("/palette"):
        assert parser.headings == 1
    return str(answer.text)


def place(one: object) -> str:
    return f"/executions/{one.namespace}/{one.flow_id}/{one.id}"  # type: ignore[attr-defined]


@pytest.fixture
def full(web: Web) -> Web:
    """Flows, executions in every state, logs, a trigger, a source, a runner, keys."""
    for source in (GREET, ASK, SCHEDULED):
        web.save(source)
    for state in State:
        states = (State.CREATED,) if state is State.CREATED else (State.CREATED, state)
        one = execution(
            run("hello", *states, attempts=(attempt(1, 0, 1, state),) if state.terminal else ()),
            states=states,
            labels={"team": HOSTILE},
            outputs={"note": HOSTILE},
        )
        web.core.put(one)
        web.log(one.id, ("INFO", "hello"), ("ERROR", f"{HOSTILE} \x1b[31mred\x1b[0m"))
    web.trigger("every", next_date=NOON + timedelta(minutes=5))
    with web.database.begin() as tx:
        runners.put(
            tx.connection,
            runners.RunnerRow(
                name="local", labels=("gpu",), slots=4, busy=1, started_at=NOON, seen_at=NOON
            ),
        )
        _source(tx.connection)
    entry = KvEntry(
        key="mark", value={"a": HOSTILE}, type="JSON", created=NOON, updated=NOON, expires=None
    )
    web.core.write_kv("team", "mark", entry)
    return web


def _source(connection: object) -> None:
    sources.put_source(
        connection,  # type: ignore[arg-type]
        sources.GitSource(
            id="main",
            url="https://git.example.org/team/flows.git",
            ref_kind="branch",
            ref="main",
            config={"secret": "hush"},
            config_digest="",
            origin="config",
            updated_at=NOON,
            observed_commit="b" * 40,
            observed_at=NOON,
            applied_commit="a" * 40,
            applied_at=NOON,
            failed_commit="b" * 40,
            status="Degraded",
            conditions=[{"code": "INVALID_FILES", "message": HOSTILE}],
        ),
    )
    sources.add_commits(
        connection,  # type: ignore[arg-type]
        [sources.GitCommit(source_id="main", sha=c * 40, subject=f"{c} {HOSTILE}") for c in "ab"],
    )
    fault = {"path": "flows/a.yaml", "line": 3, "column": 5, "code": "X", "message": HOSTILE}
    syncs.put_run(
        connection,  # type: ignore[arg-type]
        syncs.SyncRun(
            id="r1",
            source_id="main",
            trigger="poll",
            phase="failed",
            started_at=NOON,
            to_commit="b" * 40,
            counts={"errors": 1},
            errors={"total": 1, "message": "", "items": [fault]},
        ),
    )


def every_execution(web: Web) -> list[str]:
    with web.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT namespace, flow_id, id FROM executions")
        return [f"/executions/{n}/{f}/{i}" for n, f, i in rows]


@pytest.mark.parametrize("path", PLAIN)
def test_pages_are_there_when_nothing_is(web: Web, path: str) -> None:
    shown(web, path)


def test_an_empty_service_says_what_to_do(web: Web) -> None:
    assert "Nothing has run in the last 24 h." in shown(web, "/")
    assert '<a class="to" href="/git">Name one</a>' in shown(web, "/")
    assert "No flows yet" in shown(web, "/flows")
    assert "Nothing has run yet" in shown(web, "/executions")
    assert "No Git source" in shown(web, "/git")
    assert "No runner is alive" in shown(web, "/runners")


def test_every_page_with_data_escapes_what_others_wrote(full: Web) -> None:
    more = ("/git/main", "/execute/team/greet", "/flows/team/hourly/triggers")
    for path in (*PLAIN, *OF_FLOW, *more):
        assert "<script>alert" not in shown(full, path)
    for one in every_execution(full):
        for tab in TABS:
            assert "<script>alert" not in shown(full, one + tab)


def test_home_names_the_flow_that_fails_with_its_message(web: Web) -> None:
    web.save(GREET)
    failed = execution(states=(State.CREATED, State.FAILED))
    web.core.put(failed)
    web.log(failed.id, ("ERROR", "extra data after last expected column"))
    page = shown(web, "/")
    assert "One flow is failing." in page
    assert "extra data after last expected column" in page
    assert f"{place(failed)}/restart" in page
    web.core.put(execution(states=(State.CREATED, State.SUCCESS)))
    assert "All well." in shown(web, "/")


def test_home_tells_the_cause_and_not_what_the_errors_branch_said_of_it(web: Web) -> None:
    web.save(GREET)
    failed = execution(
        run("copy", State.CREATED, State.RUNNING, State.FAILED),
        run("tell", State.CREATED, State.RUNNING, State.SUCCESS, order=1),
        states=(State.CREATED, State.FAILED),
    )
    web.core.put(failed)
    logged(web, failed.id, ("copy", "the disk is full"), *[("tell", "copy failed, sorry")] * 6)
    for page in (shown(web, "/"), shown(web, place(failed))):
        assert "the disk is full" in page
        assert "sorry" not in page


def test_a_started_subflow_is_a_link_in_the_log(web: Web) -> None:
    web.save(GREET)
    one = execution(run("call", State.CREATED, State.SUCCESS), states=(State.SUCCESS,))
    web.core.put(one)
    logged(web, one.id, ("call", f"Created new execution {link('5zKd', 'child', 'team')}"))
    page = shown(web, f"{place(one)}/logs")
    assert '<a class="to" href="/executions/team/child/5zKd">team.child 5zKd</a>' in page
    assert "[[link" not in page


def logged(web: Web, execution_id: str, *lines: tuple[str, str]) -> None:
    """Store error lines of tasks: task and message."""
    batch = Batch()
    for n, (task_id, message) in enumerate(lines, 1):
        row = LogRow(
            execution_id=execution_id,
            n=n,
            at=NOON,
            level="ERROR",
            message=message,
            namespace="team",
            flow_id="greet",
            task_id=task_id,
        )
        batch.logs.append(row)
    web.core.store.write(batch)


def test_a_late_schedule_needs_attention(web: Web) -> None:
    web.save(GREET)
    web.trigger("every", next_date=NOON - timedelta(minutes=14))
    assert "One flow is late." in shown(web, "/")


def test_the_list_is_filtered_by_its_address_and_cut_by_a_cursor(full: Web) -> None:
    page = shown(full, "/executions?state=FAILED&namespace=team")
    assert page.count('id="tr-') == 1
    assert "Remove filter state failed" in page
    assert "No execution is Failed" in shown(full, "/executions?state=FAILED&flow=other")
    for _ in range(20):
        full.core.put(execution())
    first = shown(full, "/executions")
    older = re.search(r'href="(/executions\?before=[^"]+)"', first)
    assert older is not None
    ids = set(re.findall(r'id="tr-(\w+)"', first))
    assert len(ids) == 25
    assert not ids & set(re.findall(r'id="tr-(\w+)"', shown(full, older[1])))


def test_a_commit_is_shown_with_its_subject(web: Web) -> None:
    commit = Commit(source_id="main", sha="c" * 40, author="Ada", subject=HOSTILE, path="g.yaml")
    with web.database.begin() as tx:
        save = flows.Save(namespace="team", id="greet", source=GREET, via="git", commit=commit)
        flows.save_revision(tx.connection, save, now=NOON)
    one = execution(states=(State.CREATED, State.SUCCESS))
    web.core.put(one)
    for path in ("/executions", place(one), "/flows/team/greet", "/flows/team/greet/source"):
        page = shown(web, path)
        assert "ccccccc" in page
        assert "<script>alert" not in page
    assert "g.yaml" in shown(web, "/flows/team/greet/source")


def test_logs_are_searched_levelled_and_linked(full: Web) -> None:
    one = next(path for path in every_execution(full))
    page = shown(full, f"{one}/logs?q=RED&level=ERROR")
    assert '<span class="a31"><mark>red</mark></span>' in page
    assert 'id="L2"' in page
    assert 'id="L1"' not in page


def test_long_logs_show_their_end_and_lead_to_what_is_before(web: Web) -> None:
    web.save(GREET)
    one = execution()
    web.core.put(one)
    web.log(one.id, *[("INFO", f"line {n}") for n in range(1, 1201)])
    page = shown(web, f"{place(one)}/logs")
    assert 'id="L1200"' in page
    assert 'id="L200"' not in page
    assert 'id="L200"' in shown(web, f"{place(one)}/logs?before=201")


def test_what_is_not_there_is_a_page_that_says_so(full: Web) -> None:
    assert "No execution nope" in shown(full, "/executions/team/greet/nope", 404)
    one = every_execution(full)[0]
    assert "No execution" in shown(full, one.replace("/team/", "/other/"), 404)
    assert "No flow nope" in shown(full, "/flows/team/nope", 404)
    assert "No revision 9" in shown(full, "/flows/team/greet/source?revision=9", 404)
    assert "No Git source nope" in shown(full, "/git/nope", 404)
    assert "No such page" in shown(full, "/nope", 404)
    assert full.client.get("/api/v1/nope").json["message"] == "Not Found"


def test_a_form_starts_the_flow_and_leads_to_the_execution(full: Web) -> None:
    form = {"in.who": "Ada", "in.number": "", "in.kind": "long", "labels": "env: prod"}
    answer = full.client.post("/execute/team/greet", data=form)
    assert answer.status_code == 303
    operation, arguments = full.core.calls[-1]
    assert operation == "execution.start"
    assert arguments["inputs"]["who"] == "Ada"
    assert arguments["inputs"]["loud"] is False
    assert arguments["inputs"]["number"] is None
    assert arguments["labels"] == [["env", "prod"]]
    assert "Created" in shown(full, answer.headers["Location"])


def test_a_form_that_does_not_fit_comes_back_with_what_was_wrong(full: Web) -> None:
    answer = full.client.post("/execute/team/greet", data={"in.who": HOSTILE, "in.number": "x"})
    assert answer.status_code == 422
    assert "One input needs another look" in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert "<script>alert" not in answer.text
    answer = full.client.post("/execute/team/greet", data={"labels": "system.x: y"})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("action", "operation"), [("kill", "execution.kill"), ("pause", "execution.pause")]
)
def test_actions_ask_core_and_lead_back(web: Web, action: str, operation: str) -> None:
    web.save(GREET)
    one = execution()
    web.core.put(one)
    web.core.execution_pause = lambda **_: {}  # type: ignore[attr-defined]
    answer = web.client.post(f"{place(one)}/{action}")
    assert (answer.status_code, answer.headers["Location"]) == (303, place(one))
    assert web.core.calls[-1][0] == operation


def test_what_core_refuses_is_said_on_a_page(web: Web) -> None:
    web.save(GREET)
    one = execution(states=(State.CREATED, State.SUCCESS))
    web.core.put(one)
    web.core.refusal = CoreRefused("No task found to restart execution from!", 409)
    answer = web.client.post(f"{place(one)}/restart")
    assert answer.status_code == 409
    assert "No task found to restart execution from!" in answer.text


def test_a_paused_execution_asks_for_what_it_needs(web: Web) -> None:
    web.save(ASK)
    paused = execution(
        run("wait", State.RUNNING, State.PAUSED),
        states=(State.CREATED, State.RUNNING, State.PAUSED),
        flow_id="ask",
    )
    web.core.put(paused)
    assert "Waits for you" in shown(web, place(paused))
    assert web.client.post(f"{place(paused)}/resume").status_code == 422
    answer = web.client.post(f"{place(paused)}/resume", data={"in.reason": "fine"})
    assert answer.status_code == 303
    assert web.core.calls[-1] == (
        "execution.resume",
        {"id": paused.id, "inputs": {"reason": "fine"}},
    )


def test_a_page_of_another_site_cannot_act(web: Web) -> None:
    web.save(GREET)
    one = execution()
    web.core.put(one)
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert web.client.post(f"{place(one)}/kill", headers=headers).status_code == 403
    assert web.core.calls == [web.core.calls[0]]


def test_pages_and_their_files_are_behind_the_password(tmp_path) -> None:
    web = pages(tmp_path, basic_auth=password("ada", "pw"))
    for path in ("/", "/static/penstock.css"):
        answer = web.client.get(path)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert web.client.get("/", auth=("ada", "pw")).status_code == 200
    web.database.close()


def test_keys_of_webhooks_and_settings_of_sources_are_not_shown(full: Web) -> None:
    assert "open-sesame" not in shown(full, "/flows/team/hourly/triggers")
    assert "hush" not in shown(full, "/git/main")


def test_the_theme_of_the_cookie_is_written_by_the_server(web: Web) -> None:
    web.client.set_cookie("penstock_theme", "dark", domain="localhost")
    assert '<html lang="en" data-theme="dark">' in shown(web, "/")
    web.client.set_cookie("penstock_theme", '"><script>', domain="localhost")
    assert '<html lang="en">' in shown(web, "/")


def test_files_of_the_pages_may_be_kept_for_good(web: Web) -> None:
    page = shown(web, "/")
    [css] = re.findall(r'href="(/static/penstock\.css\?v=\w+)"', page)
    assert "immutable" in web.client.get(css).headers["Cache-Control"]
    assert "immutable" not in web.client.get("/static/penstock.css").headers["Cache-Control"]


def test_a_page_asks_as_much_of_the_store_for_many_rows_as_for_few(web: Web) -> None:
    web.save(GREET)
    web.core.put(execution(states=(State.CREATED, State.FAILED)))
    few = [_statements(web, path) for path in ("/", "/executions", "/flows")]
    for n in range(30):
        web.save(GREET.replace("id: greet", f"id: greet{n}", 1))
        for state in (State.FAILED, State.RUNNING):
            web.core.put(execution(states=(State.CREATED, state), flow_id=f"greet{n}"))
    many = [_statements(web, path) for path in ("/", "/executions", "/flows")]
    assert all(after <= before + 2 for before, after in zip(few, many, strict=True)), (few, many)


def _statements(web: Web, path: str) -> int:
    counted: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        counted.append(statement)

    engine = web.database._reading
    event.listen(engine, "before_cursor_execute", note)
    shown(web, path)
    event.remove(engine, "before_cursor_execute", note)
    return len(counted)


def _events(answer) -> Iterator[str]:
    for chunk in answer.response:
        yield chunk if isinstance(chunk, str) else chunk.decode()


def test_log_lines_are_streamed_from_where_a_client_stopped(web: Web) -> None:
    web.save(GREET)
    one = execution(states=(State.CREATED, State.SUCCESS))
    web.core.put(one)
    web.log(one.id, ("INFO", "one"), ("INFO", HOSTILE))
    answer = web.client.get(f"{place(one)}/logs/live", headers={"Last-Event-ID": "1"})
    assert answer.mimetype == "text/event-stream"
    log, end = list(_events(answer))
    assert log.startswith("id: 2\nevent: log\n")
    assert "<script" not in log
    assert ">one<" not in log
    assert end.startswith("event: end")


def test_an_execution_streams_its_fragments_until_it_ends(web: Web) -> None:
    web.save(GREET)
    one = execution()
    web.core.put(one)
    answer = web.client.get(f"{place(one)}/live", buffered=False)
    stream = _events(answer)
    assert '"head"' in next(stream)
    web.core.move(web.core.get(one.id), State.FAILED)
    web.log(one.id, ("ERROR", "no space left"))
    web.core.followings[0].put({"type": "execution"})
    swapped = next(stream)
    assert "Failed" in swapped
    assert "no space left" in swapped
    assert next(stream).startswith("event: end")
    answer.close()
    assert web.core.followings == []


def test_what_started_an_execution_is_named(web: Web) -> None:
    web.save(GREET)
    kind = "io.kestra.plugin.core.trigger.Schedule"
    web.core.put(execution(trigger=TriggerOrigin(id="every", type=kind)))
    assert "schedule" in shown(web, "/executions")
    assert steps(State.CREATED)[0][1] == NOON
