"""A service that dies between two writes: what a trigger asked for happens once all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.postgres import Cluster, postgres
from tests.scheduler.service import Service, at
from tests.scheduler.test_flow_triggers import BOTH, OF_UP, flow, listener

from penstock_runner.executor.store import Batch
from penstock_server.store.executions import SqlStore

__all__ = ["postgres"]

HOURLY = """
triggers:
  - {id: hourly, type: io.kestra.plugin.core.trigger.Schedule, cron: "0 * * * *"}
"""


class PowerCut(BaseException):
    """The process is no more."""


class Fuse:
    """Cuts the power before or after one write; counts them all."""

    def __init__(self, at: int | None, *, after: bool) -> None:
        self.at = at
        self.after = after
        self.writes = 0

    def store(self, database: Any) -> SqlStore:
        """The store of a service that has this fuse."""
        fuse = self

        class Fused(SqlStore):
            def write(self, batch: Batch) -> Any:
                fuse.writes += 1
                cut = fuse.writes - 1 == fuse.at
                if cut and not fuse.after:
                    raise PowerCut
                super().write(batch)
                if cut:
                    raise PowerCut

        return Fused(database)


Stores = Callable[[], str | None]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def stores(request: pytest.FixtureRequest) -> Stores:
    """Makes empty stores of one kind; those of a cluster go with it."""
    if request.param == "sqlite":
        return lambda: None
    cluster: Cluster = request.getfixturevalue("postgres")
    return lambda: cluster.sqlalchemy_url(cluster.new_database()).replace("+psycopg", "")


def play(folder: Path, url: str | None, fuse: Fuse, story: Callable[[Service], None]) -> Service:
    """Tell a story to a service; when the power is cut it starts again and hears the rest."""
    folder.mkdir()
    service = Service(folder, url)
    prepared(service)
    service.make_store = fuse.store
    service.start()
    for _ in range(2):
        try:
            service.executor.recover()
            story(service)
        except PowerCut:
            service.start()
        else:
            break
    return service


def prepared(service: Service) -> None:
    service.save(listener(f"conditions: [{OF_UP}]", flow_id="simple"))
    service.save(listener(BOTH, flow_id="both"))
    for name in ("up", "other"):
        service.save(flow(name))
    service.save(flow("scheduled", more=HOURLY.strip() + "\n"))


def chained(service: Service) -> None:
    """Two executions that others listen to, each started unless it already was."""
    for name in ("up", "other"):
        if not service.executions(name):
            service.run(name)
        service.tick()
    service.tick()


def dated(service: Service) -> None:
    """Three dates of a schedule pass."""
    for hour in ("13:00", "14:00", "15:00"):
        service.tick(at(hour))


def each_cut(
    tmp_path: Path, stores: Stores, story: Callable[[Service], None]
) -> Iterator[tuple[str, Service]]:
    """The story with the power cut before and after each write that it takes undisturbed."""
    whole = Fuse(None, after=False)
    play(tmp_path / "whole", stores(), whole, story).database.close()
    assert whole.writes >= 3
    for place in range(whole.writes):
        for after in (False, True):
            what = f"{'after' if after else 'before'} write {place} of {whole.writes}"
            folder = tmp_path / f"{place}-{after}"
            service = play(folder, stores(), Fuse(place, after=after), story)
            yield what, service
            service.database.close()


def test_an_upstream_execution_fires_once_wherever_the_service_dies(
    tmp_path: Path, stores: Stores
) -> None:
    for what, service in each_cut(tmp_path, stores, chained):
        [up] = service.executions("up")
        for name in ("simple", "both"):
            fired = service.executions(name)
            assert len(fired) == 1, f"{name}, {what}"
            assert fired[0].state.terminal, what
        [simple] = service.executions("simple")
        assert simple.trigger is not None
        assert simple.trigger.variables["executionId"] == up.id


def test_each_date_runs_once_wherever_the_service_dies(tmp_path: Path, stores: Stores) -> None:
    for what, service in each_cut(tmp_path, stores, dated):
        found = [f"{one.schedule_date:%H:%M}" for one in service.executions("scheduled")]
        assert found == ["13:00", "14:00", "15:00"], what


def filled(service: Service) -> None:
    """A backfill of three dates, begun unless it already was."""
    name = ("team", "scheduled", "hourly")
    if not service.executions("scheduled"):
        asked = {"start": "2026-02-01T06:00:00Z", "end": "2026-02-01T08:00:00Z"}
        service.change(service.changes.backfill, name, asked)
    service.tick(at("12:30"))


def test_each_date_of_a_backfill_runs_once_wherever_the_service_dies(
    tmp_path: Path, stores: Stores
) -> None:
    for what, service in each_cut(tmp_path, stores, filled):
        made = service.executions("scheduled")
        found = sorted(f"{one.schedule_date:%m-%d %H:%M}" for one in made)
        assert found == ["02-01 06:00", "02-01 07:00", "02-01 08:00"], what
        state = service.state("scheduled", "hourly")
        assert (state.backfill, state.next_date) == (None, at("13:00")), what
