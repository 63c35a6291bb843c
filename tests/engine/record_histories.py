"""Records histories of the example flows: `python -m tests.engine.record_histories`.

Run it when a new kind of event, or a new example, deserves a history. What is recorded already is
kept: a history says what an execution of an earlier day has come to, and still has to.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from sqlalchemy import select
from tests.engine.recorded import FOLDER, History, write
from tests.live import Service, live_service, wait_for

from penstock_server.store import bodies
from penstock_server.store.engine import Database, open_store
from penstock_server.store.executions import SqlStore
from penstock_server.store.schema import execution_events

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "flows"
FLOWS = {
    name: (EXAMPLES / f"{name}.yaml").read_text()
    for name in (
        "hello",
        "order_received",
        "retry_and_errors",
        "countries_in_parallel",
        "orders_pipeline",
        "nightly_totals",
    )
}
Story = Callable[[Service], str]


def runs(flow: str, **inputs: str) -> Story:
    """An execution that nobody touches."""

    def story(service: Service) -> str:
        started = service.start_flow("examples", flow, **inputs)
        service.ended(started)
        return started

    return story


def restarted(service: Service) -> str:
    """All attempts fail; the first one after a restart works."""
    failed = runs("retry_and_errors", works_at="4")(service)
    answer = service.post(f"/api/v1/main/executions/{failed}/restart")
    assert answer.status_code == 200, answer.text
    assert service.ended(failed)["state"]["current"] == "SUCCESS"
    return failed


def killed(service: Service) -> str:
    """A kill meets a child that runs and a task that has not begun."""
    started = service.start_flow("examples", "nightly_totals")
    wait_for(
        lambda: service.execution(started).get("taskRunList") or [],
        lambda found: any(run["taskId"] == "orders" for run in found),
    )
    answer = service.request("DELETE", f"/api/v1/main/executions/{started}/kill")
    assert answer.status_code in {200, 202}, answer.text
    ended = service.ended(started)
    assert ended["state"]["current"] == "KILLED", ended
    return started


STORIES: Mapping[str, Story] = {
    "hello": runs("hello"),
    "switch": runs("order_received"),
    "retry": runs("retry_and_errors"),
    "errors": runs("retry_and_errors", works_at="9"),
    "restarted": restarted,
    "values_side_by_side": runs("countries_in_parallel"),
    "killed": killed,
    "files": runs("orders_pipeline", rows="7"),
    "subflow": runs("nightly_totals"),
}


def history(database: Database, execution_id: str) -> History:
    """What is stored of an execution that has ended."""
    events = select(execution_events.c.body).where(execution_events.c.execution_id == execution_id)
    with database.read() as connection:
        found = connection.execute(events.order_by(execution_events.c.version)).scalars().all()
    ended = SqlStore(database).load([execution_id])[execution_id]
    begun = replace(
        ended, runs={}, outputs=None, facts={}, history=ended.history[:1], attempt_number=1
    )
    return History(
        flow=FLOWS[ended.flow_id],
        begun=begun,
        steps=tuple(bodies.events_from_json(body) for body in found),
        ended=ended,
    )


def main(folder: Path) -> None:
    """Record every story that has no file yet."""
    missing = {
        name: story for name, story in STORIES.items() if not (folder / f"{name}.json").exists()
    }
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        home.chmod(0o755)
        with live_service(home) as service:
            for source in FLOWS.values():
                service.put_flow(source)
            told = {name: story(service) for name, story in missing.items()}
        database = open_store(f"sqlite:///{next(home.rglob('penstock.db'))}")
        for name, execution_id in told.items():
            write(folder / f"{name}.json", history(database, execution_id))
        database.close()
    sys.stdout.write(f"{len(missing)} recorded\n")


if __name__ == "__main__":
    main(FOLDER)
