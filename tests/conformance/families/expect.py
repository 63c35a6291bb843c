"""Whole flows: load them, run executions, act on them, look at what they came to."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from tests.conformance import executions as x
from tests.conformance.cases import Case, Context, Outcome, outcome
from tests.conformance.flow_world import KEY, LEVELS, FlowWorld, Late, in_order
from tests.conformance.live_flow import live_reason
from tests.conformance.matchers import ABSENT, Matcher, typed
from tests.conformance.placeholders import Placeholders
from tests.conformance.single_job import made_address, made_lines

from penstock_runner.engine import events as e
from penstock_runner.engine.state import Execution, RunKey, State, TaskRun
from penstock_runner.executor.context import taskrun_id
from penstock_runner.executor.live import Live
from penstock_runner.executor.messages import Refused, Start
from penstock_runner.executor.resumes import first_paused
from penstock_runner.executor.store import LogRow
from penstock_runner.flow.model import Level
from penstock_runner.tasks import places

_TASK = re.compile(r"task:([^.\[\]]+)(?:\[([^\]]*)\])?\.(.+)")
LATEST = 10.0
UNSAID = "(the main one)"
SCHEDULER = "scheduler"
OFFERS = (SCHEDULER,)
"""What the live service brings along."""


def run(case: Case, context: Context) -> Outcome:
    """Do the steps of a case and compare."""
    if SCHEDULER in (case.get("requires") or ()):
        return outcome(live_reason(case, context))
    with tempfile.TemporaryDirectory() as name:
        config = case.get("config") or {}
        secrets = (case.get("setup") or {}).get("secrets") or {}
        key = config.get("encryption_key", KEY)
        world = FlowWorld(folder=Path(name), config=config, secrets=secrets, encryption_key=key)
        try:
            return outcome(_Play(case, context, world).reason())
        except Late as late:
            return outcome(str(late))
        finally:
            world.close()


@dataclass(slots=True)
class _Play:
    """One case under way: the executions it knows by name."""

    case: Case
    context: Context
    world: FlowWorld
    named: dict[str, Execution] = field(default_factory=dict)
    returned: dict[str, Execution] = field(default_factory=dict)
    saved: dict[str, str] = field(default_factory=dict)
    main: str | None = None
    last: str | None = None
    places: Placeholders = field(init=False)
    matcher: Matcher = field(init=False)

    def __post_init__(self) -> None:
        self.places = Placeholders(
            context=self.context, folder=self.world.folder, named=self._lookup
        )
        self.matcher = Matcher(
            now=self.context.now, read=self.world.storage.read_bytes, fill=self.places.fill
        )

    def reason(self) -> str | None:
        """Why the case does not hold, or None."""
        self._set_up()
        steps = self.case.get("steps")
        if steps is None:
            execution = self._begin({})
            self._await({"exec": execution, "state": "terminated"})
        for step in steps or ():
            [(action, given)] = step.items()
            reason = getattr(self, f"_{action}")(given)
            if reason is not None:
                return f"{action}: {reason}"
        expected = self.case.get("expect") or {}
        name = expected.get("exec") or (UNSAID if steps is None else None)
        return self._eventually(lambda: self._judge(expected, name)) if expected else None

    def _set_up(self) -> None:
        case = self.case
        for name in case.get("flows") or ():
            self.world.save(self.context.flow_path(name).read_text(encoding="utf-8"))
        if "flow_inline" in case:
            self.world.save(yaml.safe_dump(case["flow_inline"], sort_keys=False))
        for name, made in ((case.get("setup") or {}).get("files") or {}).items():
            uri = made_address(name)
            self.world.storage.put_bytes(uri, made_lines(made).encode())
            self.saved[name] = uri
        self.world.prepare(case)

    # Names

    def _lookup(self, name: str) -> object | None:
        if name in self.saved:
            return self.saved[name]
        kind, _, rest = name.partition(".")
        if kind == "execution" and self.main:
            return x.fact(self._execution(self.main), rest)
        if kind.startswith("exec:"):
            return x.fact(self._execution(kind.removeprefix("exec:")), rest)
        if kind in self.named:
            return x.fact(self._execution(kind), rest)
        found = _TASK.fullmatch(name)
        if found and self.main:
            values = found[2].split(",") if found[2] else None
            execution = self._execution(self.main)
            task_run = x.pick(execution, {"id": found[1], "value": values})
            if task_run is None:
                return None
            if found[3] == "id":
                return taskrun_id(execution.id, task_run.key)
            return x.at(task_run.outputs or {}, found[3].removeprefix("outputs."))
        return None

    def _execution(self, name: str | None) -> Execution:
        name = self.last if name is None else self.main if name == UNSAID else name
        assert name is not None, "nothing was started"
        return self.world.find(self.named[name].id) or self.named[name]

    def _keep(self, execution: Execution, name: str | None) -> str:
        name = name or f"#{len(self.named)}"
        self.named[name] = self.returned[name] = execution
        self.last = name
        self.main = self.main or name
        return name

    # Steps

    def _start(self, given: Mapping[str, Any]) -> str | None:
        self._begin(given)
        return None

    def _begin(self, given: Mapping[str, Any]) -> str:
        namespace, flow_id = self.case["run"]["namespace"], self.case["run"]["flow"]
        flow_id = given.get("flow", flow_id)
        inputs = given.get("inputs", self.case.get("inputs"))
        validated = self.case.get("inputs_mode") == "validated"
        execution_id = self.world.executor.new_id()
        filled = typed(self.places.fill(inputs)) if inputs is not None else None
        if validated:
            filled = self._uploaded((namespace, flow_id, execution_id), filled or {})
        date = self.places.fill(given.get("schedule_date"))
        execution = self.world.start(
            Start(
                namespace=namespace,
                flow_id=flow_id,
                inputs=filled,
                resolve=validated,
                labels=self.case.get("labels") or {},
                schedule_date=None if date is None else datetime.fromisoformat(date),
                id=execution_id,
            )
        )
        return self._keep(execution, given.get("as"))

    def _uploaded(self, place: tuple[str, str, str], given: Mapping[str, Any]) -> dict[str, Any]:
        values = dict(given)
        for one in self.world.inputs_of(*place[:2]):
            path = values.get(one.id)
            if one.type == "FILE" and isinstance(path, str) and path.startswith("/"):
                uri = places.input_file(*place, one.id, Path(path).name)
                self.world.storage.put_bytes(uri, Path(path).read_bytes())
                values[one.id] = uri
        return values

    def _await(self, given: Mapping[str, Any]) -> str | None:
        wanted = given["state"]

        def holds() -> bool:
            execution = self._execution(given.get("exec"))
            state = execution.state
            # A state may be over before anybody looks.
            passed = any(one == wanted for one, _ in execution.history)
            there = state.terminal if wanted == "terminated" else state == wanted
            there = there or (passed and not State(wanted).terminal)
            return there and self._compare(given.get("and") or {}, execution) is None

        patience = x.seconds(given["within"]) if "within" in given else 30.0
        try:
            self.world.until(holds, wanted, max(patience, LATEST))
        except Late as late:
            return f"{late}: {x.shown(self._execution(given.get('exec')))}"
        return None

    def _await_flow(self, given: Mapping[str, Any]) -> str | None:
        def holds() -> bool:
            states = [one.state for one in self.world.of_flow(given["flow"])]
            return given["state"] in states if "state" in given else bool(states)

        self.world.until(
            holds, f"execution of {given['flow']}", max(x.seconds(given["within"]), 10)
        )
        return None

    def _sleep(self, given: str) -> None:
        self.world.sleep(x.seconds(given))

    def _mark_as(self, given: Mapping[str, Any]) -> str | None:
        execution = self._execution(given.get("exec"))
        task_run = x.pick(execution, {"id": given["task"], "value": given.get("value")})
        if task_run is None:
            return f"there is no task run {given['task']}"
        state = State(given["state"])
        return self._act(
            given,
            lambda _live, at: (e.TaskRunMarked(at=at, key=RunKey(task_run.key), state=state),),
        )

    def _resume(self, given: Mapping[str, Any]) -> str | None:
        def make(live: Live, at: datetime) -> tuple[e.Event, ...]:
            if live.state is not State.PAUSED:
                raise Refused(f"Execution '{live.id}' is not paused, can't resume it")
            state = State(given["state"]) if "state" in given else None
            values = {**self.places.fill(given.get("inputs") or {}), **self._files(live, given)}
            outputs = self.world.resume_inputs(live, values)
            key = first_paused(live.execution())
            return (e.Resumed(at=at, key=key, outputs=outputs, state=state),)

        return self._act(given, make)

    def _files(self, live: Live, given: Mapping[str, Any]) -> dict[str, str]:
        """The files that a resume brings along, by the input that they are for."""
        found: dict[str, str] = {}
        for name, written in (given.get("files") or {}).items():
            text = str(self.places.fill(written))
            content = Path(text).read_bytes() if text.startswith("/") else text.encode()
            place = (live.base.namespace, live.base.flow_id, live.id)
            found[name] = places.input_file(*place, name, f"{name}.upl")
            self.world.storage.put_bytes(found[name], content)
        return found

    def _restart(self, given: Mapping[str, Any]) -> str | None:
        return self._act(given, lambda _live, at: (e.RestartRequested(at=at),))

    def _act(
        self, given: Mapping[str, Any], make: Callable[[Live, datetime], tuple[e.Event, ...]]
    ) -> str | None:
        execution = self._execution(given.get("exec"))
        try:
            shown = self.world.tell(execution.id, make)
        except Refused as refused:
            wanted = given.get("error")
            if wanted is None:
                return str(refused)
            return None if wanted is True or wanted in str(refused) else f"said {refused}"
        if "error" in given:
            return "was done"
        return self._answered(given, shown)

    def _replay(self, given: Mapping[str, Any]) -> str | None:
        old = self._execution(given.get("exec"))
        key: RunKey | None = None
        if "task" in given or "task_index" in given:
            wanted = {"id": given.get("task"), "index": given.get("task_index")}
            task_run = x.pick(old, {**wanted, "value": given.get("value")})
            if task_run is None:
                return "there is no such task run"
            key = task_run.key
        start = Start(
            namespace=old.namespace,
            flow_id=old.flow_id,
            revision=old.flow_revision,
            inputs=old.inputs,
            labels=dict(old.labels),
            trigger=old.trigger,
            variables=old.variables,
            origin="replay",
            replay_of=old,
            replay_from=key,
        )
        return self._answered(given, self.world.start(start))

    def _answered(self, given: Mapping[str, Any], shown: Execution) -> str | None:
        self._keep(shown, given.get("as"))
        if "returned" not in given:
            return None
        return self._compare(given["returned"], shown)

    def _delete(self, given: Mapping[str, Any]) -> None:
        execution = self._execution(given.get("exec"))
        what = {name: given[name] for name in ("logs", "metrics", "storage")}
        self.world.remove(execution, **what)

    def _check(self, given: Mapping[str, Any]) -> str | None:
        return self._eventually(lambda: self._judge(given, given.get("exec")))

    def _check_returned(self, given: Mapping[str, Any]) -> str | None:
        name = given.get("exec") or self.last
        assert name is not None
        return self._compare(given, self.returned[name])

    def _check_flow(self, given: Mapping[str, Any]) -> str | None:
        count = len(self.world.of_flow(given["flow"]))
        return self.matcher.mismatch(given["count"], count, "executions")

    # Assertions

    def _eventually(self, judge: Callable[[], str | None]) -> str | None:
        """What others have started may still run."""
        reasons: list[str | None] = []

        def holds() -> bool:
            reasons.append(judge())
            return reasons[-1] is None

        try:
            self.world.until(holds, "such result", LATEST)
        except Late:
            return reasons[-1]
        return None

    def _judge(self, expected: Mapping[str, Any], name: str | None) -> str | None:
        name = name or (self.main if "exec" not in expected else None)
        for one in expected.get("all") or ():
            if reason := self._compare(one, self._execution(one["exec"])):
                return f"{one['exec']}: {reason}"
        for one in expected.get("executions") or ():
            if reason := self._others(one):
                return f"{one['flow']}: {reason}"
        if "execution_states_of_flow" in expected:
            asked = expected["execution_states_of_flow"]
            states = sorted(one.state.value for one in self.world.of_flow(asked["flow"]))
            if states != sorted(asked["unordered"]):
                return f"the executions are {states}, expected {sorted(asked['unordered'])}"
        return self._compare(expected, self._execution(name))

    def _others(self, asked: Mapping[str, Any]) -> str | None:
        found = self.world.of_flow(asked["flow"])
        if "count" in asked and (
            reason := self.matcher.mismatch(asked["count"], len(found), "count")
        ):
            return reason
        if not found:
            return "was not started"
        if "as" in asked:
            self.named[asked["as"]] = found[0]
        if "last" in asked:
            ended = max(found, key=lambda one: one.history[-1][1])
            return self._compare(asked["last"], ended)
        if "each_in_order" in asked:
            pairs = zip(asked["each_in_order"], found, strict=True)
            return next(filter(None, (self._compare(wanted, one) for wanted, one in pairs)), None)
        reasons = [self._compare(asked, one) for one in found]
        if asked.get("any"):
            return None if None in reasons else reasons[0]
        return next(filter(None, reasons), None)

    def _compare(self, expected: Mapping[str, Any], execution: Execution) -> str | None:
        runs = in_order(execution)
        stored = self.world.find(execution.id) is not None
        if "exists" in expected:
            reason = None if expected["exists"] == stored else f"exists: {stored}"
            return reason or self._log_count(expected, execution)
        facts: dict[str, Any] = {
            "state": execution.state.value,
            "histories": len(execution.history),
            "task_runs": len(runs),
            "outputs": execution.outputs,
            "outputs_size": len(execution.outputs or {}),
            "inputs": execution.inputs,
            "parent_id": execution.parent_id,
            "namespace": execution.namespace,
            "flow": execution.flow_id,
            "labels": execution.labels,
            "task_state_counts": Counter(run.state.value for run in runs),
            "trigger": execution.trigger and x.plain_trigger(execution.trigger),
        }
        for name, fact in facts.items():
            asked = name in expected and not (name == "flow" and "state" not in expected)
            if asked and (reason := self._paths(name, expected[name], fact)):
                return reason
        checks: list[tuple[str, Callable[[Any], str | None]]] = [
            ("labels_exact", lambda w: self._exact_labels(w, execution)),
            ("history_prefix", lambda w: x.history_begins(w, execution)),
            ("order", lambda w: x.in_this_order(w, runs)),
            ("absent", lambda w: x.none_ran(w, runs)),
            ("all_task_states", lambda w: x.all_are(w, runs)),
            ("tasks", lambda w: self._tasks(w, execution)),
            ("outputs_view", lambda w: self._view(w, execution)),
            ("same_id_as", lambda w: x.identity(execution, self.named[w], same=True)),
            ("other_id_than", lambda w: x.identity(execution, self.named[w], same=False)),
            ("schedule_date", lambda w: self._date(w, execution)),
            ("logs", lambda w: self._logs(w, execution)),
            ("log_count", lambda _: self._log_count(expected, execution)),
            ("log_split", lambda w: self._split(w, execution)),
            ("trigger_state", lambda w: self._trigger(w, execution)),
        ]
        found = (check(expected[name]) for name, check in checks if name in expected)
        return next((f"{reason} [{x.shown(execution)}]" for reason in found if reason), None)

    def _paths(self, name: str, wanted: Any, actual: Any) -> str | None:
        """Compare; keys of a map are paths."""
        if not isinstance(wanted, dict) or not wanted or actual is None:
            return self.matcher.mismatch(wanted, actual, name)
        if all(str(key).startswith("$") for key in wanted):
            return self.matcher.mismatch(wanted, actual, name)
        for path, one in wanted.items():
            plain = actual.get(path, ABSENT) if isinstance(actual, Mapping) else ABSENT
            found = x.at(actual, path) if plain is ABSENT else plain
            if reason := self.matcher.mismatch(one, found, f"{name}.{path}"):
                return reason
        return None

    def _exact_labels(self, wanted: Mapping[str, str], execution: Execution) -> str | None:
        return self.matcher.mismatch(wanted, execution.labels, "labels", exact=True)

    def _date(self, wanted: str, execution: Execution) -> str | None:
        expected = datetime.fromisoformat(self.places.fill(wanted))
        if execution.schedule_date == expected:
            return None
        return f"the schedule date is {execution.schedule_date}, expected {expected}"

    def _view(self, wanted: Mapping[str, Any], execution: Execution) -> str | None:
        return self._paths("outputs", wanted, self.world.outputs_view(execution))

    def _tasks(self, wanted: list[Mapping[str, Any]], execution: Execution) -> str | None:
        for asked in wanted:
            found = x.matching(execution, asked)
            if "count" in asked:
                if len(found) != asked["count"]:
                    return f"{asked['id']} ran {len(found)} times, expected {asked['count']}"
                continue
            task_run = found[0] if found else None
            if task_run is None:
                return f"there is no task run {asked.get('id', asked.get('index'))}"
            if reason := self._task(asked, task_run, execution):
                return f"{task_run.task_id}: {reason}"
        return None

    def _task(self, asked: Mapping[str, Any], run: TaskRun, execution: Execution) -> str | None:
        last = run.attempts[-1] if run.attempts else None
        facts: dict[str, Any] = {
            "id": run.task_id,
            "state": run.state.value,
            "histories": len(run.history),
            "history_counts": Counter(state.value for state, _ in run.history),
            "attempts": len(run.attempts) or None,
            "attempt_number": len(run.attempts),
            "last_attempt_state": last.state.value if last else None,
            "outputs": run.outputs or {},
            "log_file": last.log_file if last else None,
        }
        for name, fact in facts.items():
            if name in asked and (reason := self._paths(name, asked[name], fact)):
                return reason
        if "same_id" in asked:
            first = self.named["first"]
            same = taskrun_id(first.id, run.key) == taskrun_id(execution.id, run.key)
            if same is not asked["same_id"]:
                return f"same id: {same}"
        return None

    def _trigger(self, wanted: Mapping[str, Any], execution: Execution) -> str | None:
        name = (execution.namespace, execution.flow_id, wanted["id"])
        disabled = self.world.switched_off.get(name)
        return self.matcher.mismatch(wanted["disabled"], disabled, "disabled")

    def _lines(self, execution: Execution) -> list[LogRow]:
        return self.world.store.lines(execution.id)

    def _logs(self, wanted: list[Mapping[str, Any]], execution: Execution) -> str | None:
        runs = in_order(execution)
        for asked in wanted:
            task = asked.get("task")
            if "task_index" in asked:
                task = runs[asked["task_index"]].task_id
            lines = [
                row
                for row in self._lines(execution)
                if task in (None, row.task_id)
                and asked.get("level") in (None, row.level)
                and self.matcher.mismatch(asked.get("message", {"$present": True}), row.message)
                is None
            ]
            if "count" in asked:
                if len(lines) != asked["count"]:
                    said = [row.message for row in self._lines(execution)]
                    return f"{len(lines)} lines, expected {asked['count']}, of {said}"
            elif not lines:
                said = [(r.task_id, r.level, r.message) for r in self._lines(execution)]
                return f"no line {asked} in {said}"
        return None

    def _log_count(self, expected: Mapping[str, Any], execution: Execution) -> str | None:
        asked = expected.get("log_count")
        if asked is None:
            return None
        least = LEVELS.index(Level(asked["min_level"]))
        lines = [r for r in self._lines(execution) if LEVELS.index(Level(r.level)) >= least]
        return self.matcher.mismatch(asked["count"], len(lines), "log lines")

    def _split(self, asked: Mapping[str, Any], execution: Execution) -> str | None:
        task = in_order(execution)[asked["task_index"]].task_id
        lines = [row for row in self._lines(execution) if row.task_id == task]
        if len(lines) < asked["min_entries"]:
            return f"{len(lines)} lines"
        steps = {round((b.at - a.at).total_seconds() * 1000) for a, b in pairwise(lines)}
        if steps != {asked["timestamp_step_ms"]}:
            return f"the lines are {steps} ms apart"
        return None
