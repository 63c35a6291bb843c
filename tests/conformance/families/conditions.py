"""Evaluate conditions, promises about executions (SLA) and windows of time."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import isodate
import yaml
from tests.conformance.cases import Case, Context, Outcome, failed, outcome
from tests.conformance.matchers import Matcher
from tests.conformance.placeholders import Placeholders

from penstock_runner.engine.state import Attempt, Execution, RunKey, State, TaskRun
from penstock_runner.executor.executor import Executor
from penstock_runner.executor.flows import Flows
from penstock_runner.executor.inline import Surroundings
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.executor.messages import Start
from penstock_runner.executor.store import Batch, StoredFlow
from penstock_runner.expressions.environment import Expressions
from penstock_runner.flow import durations
from penstock_runner.flow.model import Flow
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.storage import LocalStorage
from penstock_runner.tasks.triggers import TimeWindow
from penstock_server.scheduler.rendering import TriggerRender, TriggerServices
from penstock_server.scheduler.windows import Window, aligned

PLACE = ("io.kestra.unittest", "flow")


def run(case: Case, context: Context) -> Outcome:
    """Evaluate what the case names."""
    case = Placeholders(context=context, folder=Path(tempfile.gettempdir())).fill(case)
    if "sla" in case:
        return _promise(case, context)
    if "time_window" in case:
        return _window(case, context)
    return _conditions(case, context)


# Conditions


def _conditions(case: Case, context: Context) -> Outcome:
    expected = case["expect"]
    conditions = case.get("conditions") or [case["condition"]]
    try:
        result = all(_holds(one, case, context) for one in conditions)
    except TaskFailed as error:
        return outcome(None if expected.get("logged") else str(error))
    if expected.get("logged"):
        return failed("it was evaluated without an error")
    return outcome(Matcher(now=context.now).mismatch(expected["result"], result))


def _holds(condition: Mapping[str, Any], case: Case, context: Context) -> bool:
    about = _execution(case, context)
    place = case.get("flow") or {}
    namespace, flow_id = place.get("namespace", PLACE[0]), place.get("id", PLACE[1])
    outputs = (about.outputs or {}) if about is not None else {}
    variables: dict[str, Any] = {"trigger": {"outputs": outputs}} if outputs else {}
    render = TriggerRender(
        _expressions(),
        TriggerServices(context.now, {}),
        Flow(id=flow_id, namespace=namespace, tasks=()),
        variables,
    )
    return render.holds(condition, _registry().load, about)


def _execution(case: Case, context: Context) -> Execution | None:
    given = case.get("execution", {})
    if given is None:
        return None
    place = case.get("flow") or {}
    runs = [_run(n, one, context.now) for n, one in enumerate(given.get("task_runs", ()))]
    return Execution(
        id="x",
        namespace=place.get("namespace", PLACE[0]),
        flow_id=place.get("id", PLACE[1]),
        flow_revision=1,
        history=((State(given.get("state", "RUNNING")), context.now),),
        runs={run.key: run for run in runs},
        labels=given.get("labels") or {},
        outputs=given.get("outputs"),
    )


def _run(order: int, given: Mapping[str, Any], now: datetime) -> TaskRun:
    attempts = [
        Attempt(number=number, history=((State(state), now),))
        for number, state in enumerate(given["attempts"], 1)
    ]
    return TaskRun(
        key=RunKey(f"t{order}"),
        task_id=f"t{order}",
        order=order,
        history=((State.RUNNING, now),),
        attempts=tuple(attempts),
    )


# Promises


def _promise(case: Case, context: Context) -> Outcome:
    age = durations.parse((case.get("execution") or {}).get("age", "PT0S"))
    lines = _lines_of(case["sla"], case.get("vars") or {}, age, context.now)
    found = [re.search(r"SLA 's' violated: (.*)", line, re.DOTALL) for line in lines]
    violation = next((one[1] for one in found if one), None)
    unable = any("SLA 's' cannot be checked" in line for line in lines)
    expected = case["expect"]
    if "error" in expected:
        return outcome(None if unable else f"there was no error, but {lines}")
    if unable:
        return failed(f"it could not be checked: {lines}")
    if wanted := expected.get("violation_contains"):
        return outcome(None if violation and wanted in violation else f"said {violation!r}")
    return outcome(Matcher(now=context.now).mismatch(expected["violation"], violation))


def _lines_of(
    sla: Mapping[str, Any], variables: Mapping[str, Any], age: timedelta, now: datetime
) -> list[str]:
    """What an execution of that age logs, of a flow that makes this promise."""
    pause = {"id": "wait", "type": "io.kestra.plugin.core.flow.Pause"}
    said = {"id": "say", "type": "io.kestra.plugin.core.log.Log", "message": "hello"}
    flow = {
        "id": "a",
        "namespace": "n",
        "sla": [{"id": "s", "behavior": "FAIL", **sla}],
        "tasks": [said, pause],
    }
    store = MemoryStore()
    store.put_flow(StoredFlow(namespace="n", id="a", revision=1, source=yaml.safe_dump(flow)))
    moment = [now - age]
    around = Surroundings(
        expressions=_expressions(), secrets={}, storage=LocalStorage(Path("unused-storage"))
    )
    executor = Executor(
        store=store,
        flows=Flows(store.flow),
        registry=_registry(),
        around=around,
        now=lambda: moment[0],
        listener=_Quiet(),
        constants=variables,
    )
    execution_id = executor.new_id()
    executor.transact(starts=[Start(namespace="n", flow_id="a", id=execution_id)])
    while executor.drain():
        pass
    moment[0] = now
    while executor.drain():
        pass
    return [line.message for line in store.lines(execution_id)]


class _Quiet:
    def committed(self, batch: Batch) -> None: ...


# Windows


def _window(case: Case, context: Context) -> Outcome:
    written = {name: _time_of_day(value) for name, value in case["time_window"].items()}
    kind = TimeWindow.model_validate(written)
    zone = context.now.astimezone().tzinfo or UTC
    expected = case["expect"]
    window = aligned(kind, context.now, zone)
    if "steps" in expected:
        return _steps(expected["steps"], kind, window, context)
    for name in ("start", "end"):
        moment = getattr(window, name)
        facts = {
            "date": moment.date().isoformat(),
            "time": moment.time().isoformat(timespec="auto"),
            "hour": moment.hour,
            "minute": moment.minute,
        }
        for key, wanted in expected.get(name, {}).items():
            if key == "minute_in":
                reason = None if moment.minute in wanted else f"{name} is at {moment}"
            else:
                reason = _differs(key, wanted, facts, context)
            if reason:
                return failed(f"{name}: {reason}")
    return outcome(None)


def _time_of_day(value: Any) -> Any:
    """Of a whole date only the time of day is meant."""
    date, separator, moment = str(value).partition("T")
    return moment.partition("+")[0] if separator and date.count("-") == 2 else value


def _differs(key: str, wanted: Any, facts: Mapping[str, Any], context: Context) -> str | None:
    actual = facts[key]
    if key == "time":
        wanted, actual = (isodate.parse_time(str(one)) for one in (wanted, actual))
    return Matcher(now=context.now).mismatch(wanted, actual)


def _steps(steps: list[str], kind: TimeWindow, window: Window, context: Context) -> Outcome:
    """The steps, in the words of the cases, over one window and a clock that they move."""
    now = context.now
    zone = now.astimezone().tzinfo or UTC
    for step in steps:
        if step == "save a=true":
            window = Window(start=window.start, end=window.end, held={"a": "x"})
        elif found := re.fullmatch(r"wait (P\S+)", step):
            now += isodate.parse_duration(found[1])
        elif step == "results a=true":
            if not (window.open(now) and "a" in window.held):
                return failed(f"{step}: {window} at {now}")
        elif step == "results empty":
            if window.open(now):
                return failed(f"{step}: {window} is open at {now}")
        elif found := re.fullmatch(r"expired (\d+)", step):
            if (window.end < now) is not (found[1] == "1"):
                return failed(f"{step}: {window} at {now}")
        elif step == "a new window with another start and no a":
            following = aligned(kind, now, zone)
            if window.open(now) or following.start == window.start:
                return failed(f"{step}: {window} at {now}, then {following}")
        else:
            raise ValueError(f"unknown step {step}")
    return outcome(None)


@cache
def _registry() -> Registry:
    return Registry()


@cache
def _expressions() -> Expressions:
    return Expressions(default_zone=_local_zone())


def _local_zone() -> str:
    name = datetime.now(UTC).astimezone().tzname() or "UTC"
    try:
        ZoneInfo(name)
    except (ValueError, OSError):
        return "UTC"
    return name
