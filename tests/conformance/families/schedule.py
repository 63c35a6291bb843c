"""Evaluate schedules at dates, or let the scheduler work from a stored state, its clock frozen."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import isodate
from tests.conformance.cases import Case, Context, Outcome, failed, outcome
from tests.conformance.matchers import Matcher
from tests.conformance.placeholders import Placeholders
from tests.sync.world import DirectStarter, FrozenClock

from penstock_runner.engine.state import Execution, State, TriggerOrigin
from penstock_runner.executor.flows import Flows, load
from penstock_runner.executor.inline import Surroundings
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.executor.messages import Start
from penstock_runner.executor.starts import Starts
from penstock_runner.executor.store import StoredFlow
from penstock_runner.executor.values import Values
from penstock_runner.expressions.environment import Expressions
from penstock_runner.flow.model import Flow
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.storage import LocalStorage
from penstock_server.scheduler.evaluation import Firing
from penstock_server.scheduler.flow_triggers import FlowTriggers, listening
from penstock_server.scheduler.rendering import TriggerRender, TriggerServices
from penstock_server.scheduler.triggers import Scheduler
from penstock_server.store import triggers
from penstock_server.store.engine import Database, open_store
from penstock_server.store.migrations import upgrade
from penstock_server.store.triggers import TriggerState

OFFERS = ("scheduler",)
NAMESPACE, FLOW_ID = "io.kestra.unittest", "flow"
LOG = {"id": "say", "type": "io.kestra.plugin.core.log.Log", "message": "hello"}
EXPRESSIONS = Expressions()


@cache
def _registry() -> Registry:
    return Registry()


def run(case: Case, context: Context) -> Outcome:
    """Do what the case's operation says."""
    with tempfile.TemporaryDirectory() as folder:
        case = Placeholders(context=context, folder=Path(folder)).fill(case)
        world = _World(case, context, Path(folder))
        try:
            return getattr(world, f"op_{case['op']}")()  # type: ignore[no-any-return]
        finally:
            world.database.close()


class _Queue(DirectStarter):
    """Does nothing before it is asked to: what is queued in a transaction comes after it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._waiting: list[dict[str, Any]] = []

    def transact(self, **asked: Any) -> None:
        self._waiting.append(asked)

    def settle(self, starter: DirectStarter) -> None:
        while self._waiting:
            starter.transact(**self._waiting.pop(0))


@dataclass(slots=True)
class _World:
    """One flow with one trigger, a scheduler over a store, and a clock."""

    case: Case
    context: Context
    folder: Path
    database: Database = field(init=False)
    starter: DirectStarter = field(init=False)
    clock: FrozenClock = field(init=False)
    stored: StoredFlow = field(init=False)
    flow: Flow = field(init=False)
    matcher: Matcher = field(init=False)

    def __post_init__(self) -> None:
        self.database = open_store(f"sqlite:///{self.folder / 'store.db'}")
        upgrade(self.database)
        self.starter = DirectStarter(self.database)
        self.clock = FrozenClock()
        self.clock.at = self.context.now
        self.matcher = Matcher(now=self.context.now)
        given = self.case.get("flow") or {}
        trigger = {"id": "schedule", **self.case["trigger"]} if "trigger" in self.case else None
        written = {
            "id": FLOW_ID,
            "namespace": NAMESPACE,
            "tasks": [LOG],
            **given,
            **({"triggers": [trigger]} if trigger else {}),
        }
        # System labels are checked elsewhere: these flows came into being without that.
        labels = written.pop("labels", {})
        source = json.dumps(written)
        self.stored = StoredFlow(
            namespace=written["namespace"], id=written["id"], revision=1, source=source
        )
        self.flow = load(self.stored).flow.model_copy(update={"labels": labels})

    @property
    def expected(self) -> Mapping[str, Any]:
        return self.case["expect"]  # type: ignore[no-any-return]

    def scheduler(self) -> Scheduler:
        return Scheduler(
            database=self.database,
            starter=self.starter,
            clock=self.clock,
            flows=lambda _namespace, _flow_id: self.flow,
            expressions=EXPRESSIONS,
            load=_registry().load,
        )

    def save(self, **state: Any) -> TriggerState:
        """The flow is saved, and then this is remembered of its trigger."""
        scheduler = self.scheduler()
        with self.database.begin() as tx:
            scheduler.flow_saved(tx, self.flow, self.clock.now())
            [row] = triggers.of_flow(tx.connection, self.flow.namespace, self.flow.id)
            values = {name: getattr(row, name) for name in row.__dataclass_fields__}
            after = TriggerState(**{**values, **state})
            triggers.put(tx.connection, [after])
        return after

    def state(self) -> TriggerState:
        with self.database.read() as connection:
            [row] = triggers.of_flow(connection, self.flow.namespace, self.flow.id)
        return row

    def execution(self) -> Execution:
        """The execution that was started last, as the executor prepares it."""
        start = self.starter.started[-1]
        store = MemoryStore()
        store.put_flow(self.stored)
        flows = Flows(store.flow)
        flows.get(self.flow.namespace, self.flow.id).flow = self.flow
        around = Surroundings(
            expressions=EXPRESSIONS, secrets={}, storage=LocalStorage(self.folder / "storage")
        )
        starts = Starts(flows, around, Values(store), self.clock.now)
        return starts.prepare(start, str(start.id)).execution

    # Operations

    def op_evaluate(self) -> Outcome:
        date = _moment(self.case["date"])
        state: dict[str, Any] = {"next_date": date}
        if backfill := self.case.get("backfill"):
            current = _moment(backfill["currentDate"])
            ends = {"start": current, "currentDate": current, "end": _moment(backfill["end"])}
            state["next_date"] = current
            state["backfill"] = {name: one.isoformat() for name, one in ends.items()}
        self.save(**state)
        self.scheduler().tick(self.clock.now())
        found = bool(self.starter.started)
        if found is not self.expected["execution"]:
            return failed(f"{'an' if found else 'no'} execution")
        if not found:
            return outcome(None)
        execution = self.execution()
        return outcome(self._labels_and_inputs(execution) or self._dates(execution))

    def _dates(self, execution: Execution) -> str | None:
        variables = execution.trigger.variables if execution.trigger else {}
        for name, wanted in self.expected.get("schedule", {}).items():
            got = str(variables.get(name))
            if _moment(wanted) != datetime.fromisoformat(got):
                return f"{name} is {got}, expected {wanted}"
        offset = self.expected.get("date_offset")
        if offset and not str(variables["date"]).endswith(offset):
            return f"the date is {variables['date']}, expected one at {offset}"
        return None

    def _labels_and_inputs(self, execution: Execution) -> str | None:
        for name in ("labels", "labels_exact", "inputs"):
            if name in self.expected:
                actual = getattr(execution, name.removesuffix("_exact"))
                exact = name.endswith("_exact")
                reason = self.matcher.mismatch(self.expected[name], actual, name, exact=exact)
                if reason:
                    return reason
        return None

    def op_next(self) -> Outcome:
        scheduler = self.scheduler()
        if "last" not in self.case:
            self.save()
            return self._date(self.state().next_date)
        return self._date(scheduler.evaluation.following(self._firing(scheduler)))

    def op_previous(self) -> Outcome:
        scheduler = self.scheduler()
        return self._date(scheduler.evaluation.nearest(self._firing(scheduler), forwards=False))

    def _firing(self, scheduler: Scheduler) -> Firing:
        last = self.case.get("last")
        row = self.save(next_date=_moment(last) if last else self.clock.now())
        firing = scheduler.reading.firing(row, self.clock.now())
        assert firing is not None
        return firing

    def _date(self, found: datetime | None) -> Outcome:
        local = found.astimezone() if found else None
        for name, wanted in self.expected.items():
            match name:
                case "next" | "previous":
                    holds = _moment(wanted) == found if wanted is not None else found is None
                case "next_date":
                    holds = local is not None and str(wanted)[:10] == local.date().isoformat()
                case "next_day_of_month":
                    day = wanted if isinstance(wanted, int) else _moment(wanted).day
                    holds = local is not None and local.day == day
                case _:
                    raise ValueError(f"unknown expectation {name}")
            if not holds:
                return failed(f"{name} is {found}, expected {wanted}")
        return outcome(None)

    def op_scheduler(self) -> Outcome:
        self.save(**_row(self.case["state"]))
        scheduler = self.scheduler()
        after = isodate.parse_duration(self.expected.get("after", "PT0S"))
        for moment in (self.context.now, self.context.now, self.context.now + after):
            self.clock.at = moment
            scheduler.tick(moment)
            if self._ends():
                self._end(scheduler, State.SUCCESS)
        return outcome(self._after())

    def _ends(self) -> bool:
        then = self.expected.get("then")
        if then not in (None, "end the execution SUCCESS"):
            raise ValueError(f"unknown: {then}")
        return then is not None and bool(self.starter.started)

    def _end(self, scheduler: Scheduler, state: State) -> None:
        start = self.starter.started[-1]
        ended = Execution(
            id=str(start.id),
            namespace=start.namespace,
            flow_id=start.flow_id,
            flow_revision=1,
            history=((state, self.clock.now()),),
            trigger=start.trigger,
        )
        with self.database.begin() as tx:
            for write in scheduler.execution_ended(ended):
                write(tx)

    def _after(self) -> str | None:
        state, started = self.state(), self.starter.started
        for name, wanted in self.expected.items():
            reason = None
            match name:
                case "executions":
                    reason = self.matcher.mismatch(wanted, len(started), name)
                case "each":
                    made = [{"state": "FAILED" if one.failure else "CREATED"} for one in started]
                    reason = self.matcher.mismatch({"$all": wanted}, made, name)
                case "state":
                    reason = self._state(wanted, state)
                case "state_next_after":
                    holds = state.next_date is not None and state.next_date > _moment(wanted)
                    reason = None if holds else f"next is {state.next_date}, before {wanted}"
                case "fourth_execution_date":
                    dates = [one.schedule_date for one in started]
                    holds = len(dates) > 3 and dates[3] == _moment(wanted)
                    reason = None if holds else f"the dates are {dates}"
                case "then" | "within" | "after":
                    pass
                case _:
                    raise ValueError(f"unknown expectation {name}")
            if reason:
                return reason
        return None

    def _state(self, expected: Mapping[str, Any], state: TriggerState) -> str | None:
        seen = {"date": state.last_date, "next": state.next_date, "disabled": state.disabled}
        for name, wanted in expected.items():
            among = wanted["$in"] if isinstance(wanted, dict) and "$in" in wanted else [wanted]
            if not any(_same(one, seen[name]) for one in among):
                return f"{name} is {seen[name]}, expected {wanted}"
        return None

    def op_labels(self) -> Outcome:
        given = self.case.get("trigger", {}).get("labels", {})
        services = TriggerServices(self.clock.now(), {})
        render = TriggerRender(EXPRESSIONS, services, self.flow, self.case.get("vars", {}))
        # As for any start: the flow's labels, then those of the trigger.
        self._remember(render.labels(given))
        return outcome(self._labels_and_inputs(self.execution()))

    def _remember(self, labels: Mapping[str, str]) -> None:
        self.starter.started.append(
            Start(
                namespace=self.flow.namespace,
                flow_id=self.flow.id,
                labels=labels,
                id="x",
                correlate=False,
            )
        )

    def op_flow_trigger(self) -> Outcome:
        queue = _Queue(self.database)
        flow_triggers = FlowTriggers(
            database=self.database,
            starter=queue,
            clock=self.clock,
            flows=lambda _namespace, _flow_id: self.flow,
            expressions=EXPRESSIONS,
            load=_registry().load,
        )
        with self.database.begin() as tx:
            self.scheduler().flow_saved(tx, self.flow, self.clock.now())
            flow_triggers.flows_saved({(self.flow.namespace, self.flow.id): listening(self.flow)})
        upstream = Execution(
            id="upstream",
            namespace=NAMESPACE,
            flow_id="upstream",
            flow_revision=1,
            history=((State.SUCCESS, self.clock.now()),),
            trigger=TriggerOrigin(id="t", type="x"),
        )
        with self.database.begin() as tx:
            for write in flow_triggers.changed(upstream, 0):
                write(tx)
        queue.settle(self.starter)
        if bool(self.starter.started) is not self.expected["execution"]:
            return failed(f"{len(self.starter.started)} executions")
        if not self.starter.started:
            return outcome(None)
        execution = self.execution()
        wanted = self.expected.get("flow", execution.flow_id)
        if execution.flow_id != wanted:
            return failed(f"flow {execution.flow_id} was started, expected {wanted}")
        return outcome(self._labels_and_inputs(execution))


def _row(state: Mapping[str, Any]) -> dict[str, Any]:
    """What a case says of the stored state."""
    row: dict[str, Any] = {
        "last_date": _moment(state["date"]) if "date" in state else None,
        "next_date": _moment(state["nextExecutionDate"]) if "nextExecutionDate" in state else None,
        "disabled": bool(state.get("disabled")),
    }
    if backfill := state.get("backfill"):
        dates = {name: _moment(one).isoformat() for name, one in backfill.items()}
        row["backfill"] = {"currentDate": dates["start"], **dates}
        row["next_date"] = datetime.fromisoformat(row["backfill"]["currentDate"])
    return row


def _moment(text: Any) -> datetime:
    plain = str(text).partition("[")[0]
    found = datetime.fromisoformat(plain)
    return (found if found.tzinfo else found.astimezone()).astimezone(UTC)


def _same(wanted: Any, actual: Any) -> bool:
    if not isinstance(actual, datetime):
        return bool(wanted == actual)
    return wanted is not None and _moment(wanted) == actual
