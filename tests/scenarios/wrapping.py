"""Any flow, its tasks moved into one flowable, played to its end without a world around it.

Scripts do nothing and succeed, unless their text says `exit 1`; time passes as fast as it can. So
two flows that differ in nothing but a flowable around all tasks must come to the same states.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from tests.conformance.cases import default_cases
from tests.executor.harness import EXPRESSIONS, World, stored

from penstock_runner.engine import events as e
from penstock_runner.engine.state import Execution, State
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.executor.messages import Outcome, Refused, Start
from penstock_runner.executor.store import StoredFlow
from penstock_runner.expressions.environment import NoServices
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.flow.parse import parse_flow
from penstock_runner.jobs.protocol import Report

EXAMPLES = Path(__file__).parents[2] / "examples" / "flows"
CORE = "io.kestra.plugin.core.flow."
DAYS = timedelta(days=30)
TURNS = 400

Tasks = list[Any]
# The namespace, the id and the text of one.
Template = tuple[str, str, str]
Wrapper = Callable[[Tasks], dict[str, Any]]


def _sequential(tasks: Tasks, name: str = "w_seq") -> dict[str, Any]:
    return {"id": name, "type": CORE + "Sequential", "tasks": tasks}


def _of(kind: str, **more: Any) -> dict[str, Any]:
    return {"id": "w_outer", "type": CORE + kind, **more}


WRAPPERS: Mapping[str, Wrapper] = {
    "Sequential": _sequential,
    "Parallel": lambda tasks: _of("Parallel", tasks=[_sequential(tasks)]),
    "Dag": lambda tasks: _of("Dag", tasks=[{"task": _sequential(tasks)}]),
    "If": lambda tasks: _of("If", condition="{{ 1 == 1 }}", then=tasks),
    "If else": lambda tasks: _of(
        "If", condition="{{ 1 == 2 }}", then=[_sequential([_log()], "w_then")], **{"else": tasks}
    ),
    "Switch": lambda tasks: _of("Switch", value="{{ 'a' }}", cases={"a": tasks}),
    "Switch defaults": lambda tasks: _of(
        "Switch", value="b", cases={"a": [_log()]}, defaults=tasks
    ),
    "AllowFailure": lambda tasks: _of("AllowFailure", tasks=tasks),
    "ForEach": lambda tasks: _of("ForEach", values=["x"], tasks=tasks),
    "EachSequential": lambda tasks: _of("EachSequential", value=["x"], tasks=tasks),
    "EachParallel": lambda tasks: _of("EachParallel", value=["x"], tasks=[_sequential(tasks)]),
    "ForEach side by side": lambda tasks: _of(
        "ForEach", concurrencyLimit=0, values=["x"], tasks=[_sequential(tasks)]
    ),
    "Loop": lambda tasks: _of("Loop", values=["x"], tasks=tasks),
    "LoopUntil": lambda tasks: _of("LoopUntil", condition="{{ true }}", tasks=tasks),
}
# In a loop, the outputs of its tasks have the value in their address, so who reads them is changed.
LOOPS = frozenset({"Loop", "ForEach", "EachSequential", "EachParallel", "ForEach side by side"})
_READS_PLACES = ("outputs", "parent", "taskrun.value", "currentEachOutput", "tasks.")


def _log() -> dict[str, Any]:
    return {"id": "w_log", "type": "io.kestra.plugin.core.log.Log", "message": "never"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a flow came to: its state, and how often each task was in which."""

    state: str
    tasks: Mapping[tuple[str, str], int]


def flow_files() -> Iterator[Path]:
    """The example flows, and the valid flows of the conformance folder when there is one."""
    yield from sorted(EXAMPLES.rglob("*.yaml"))
    folder = default_cases()
    if folder.is_dir():
        for name in ("valids", "tests", "zoomcamp", "examples"):
            yield from sorted(folder.joinpath("flows", name).rglob("*.y*ml"))


def wrapped(source: str, wrapper: Wrapper) -> str:
    """The flow with all its tasks in one flowable."""
    data = yaml.safe_load(source)
    data["tasks"] = [wrapper(data["tasks"])]
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def kept_apart(source: str) -> tuple[str, Template]:
    """The flow with all its tasks in a template, and the template."""
    data = yaml.safe_load(source)
    namespace, name = data["namespace"], "w_kept"
    template = {"id": name, "namespace": namespace, "tasks": data["tasks"]}
    data["tasks"] = [_of("Template", namespace=namespace, templateId=name)]
    text, kept = (
        yaml.safe_dump(one, sort_keys=False, allow_unicode=True) for one in (data, template)
    )
    return text, (namespace, name, kept)


def reads_places(source: str) -> bool:
    """Whether the flow reads something by where it is among loops."""
    return any(word in source for word in _READS_PLACES)


def valid(source: str) -> bool:
    """Whether it is a flow that can be run."""
    return parse_flow(source).effective is not None


class Play:
    """Flows in a world of their own, in which nothing takes time."""

    def __init__(self, others: list[StoredFlow]) -> None:
        self._others = others

    def __call__(self, source: str, folder: Path, *templates: Template) -> Ended | str:
        """How one execution of the flow ends, or why there is none."""
        flow = stored(source)
        rest = [one for one in self._others if (one.namespace, one.id) != (flow.namespace, flow.id)]
        store = MemoryStore([flow, *rest])
        for template in templates:
            store.put_template(*template)
        world = World(store=store, storage=folder)
        execution_id = self.begin(world, flow)
        if isinstance(execution_id, Refused):
            return str(execution_id)
        self.go_on(world, execution_id, world.now + DAYS)
        return ended(world.execution(execution_id))

    def begin(self, world: World, flow: StoredFlow) -> str | Refused:
        """Start the flow; a start that is sent again gives the same execution."""
        world.runner(slots=1000)
        outcomes: list[Outcome] = []
        name = {"namespace": flow.namespace, "flow_id": flow.id}
        start = Start(**name, resolve=True, idempotency_key="once")
        world.executor.transact(starts=[start], done=outcomes.append)
        world.settle()
        error = outcomes[0].error
        if error is not None:
            assert isinstance(error, Refused), error
            return error
        return outcomes[0].executions[0].id

    def go_on(self, world: World, execution_id: str, end: datetime) -> None:
        """Answer jobs, resume pauses and let time pass, until nothing happens any more."""
        for _ in range(TURNS):
            while world.sent:
                self._answer(world, world.sent.pop(0))
                world.settle()
            execution = world.execution(execution_id)
            due = world.executor.next_wake()
            if execution.state is State.PAUSED and (due is None or due > end):
                world.executor.tell(execution_id, e.Resumed(at=world.now, key=_paused(execution)))
            elif due is None or due > end:
                return
            else:
                world.now = max(world.now, due)
            world.settle()

    def _answer(self, world: World, message: Mapping[str, Any]) -> None:
        if message["type"] != "job":
            return
        name = {n: message[n] for n in ("execution_id", "key", "attempt")}
        state, outputs, error = "SUCCESS", {}, None
        if message.get("evaluate"):
            outputs, error = _rendered(message["evaluate"], message["variables"])
        elif "exit 1" in str(message["task"]["properties"]):
            state = "FAILED"
        children = _children(message, world)
        report = Report(
            **name, state=state, at=world.now, outputs=outputs, error=error, children=children
        )
        world.executor.report(report)


def _paused(execution: Execution) -> Any:
    runs = [run for run in execution.runs.values() if run.state is State.PAUSED]
    return min(runs, key=lambda run: run.order).key if runs else None


def _rendered(asked: Mapping[str, Any], variables: Any) -> tuple[dict[str, Any], str | None]:
    services = NoServices()
    try:
        return {
            name: EXPRESSIONS.render_typed(text, variables, services)
            if isinstance(text, str)
            else text
            for name, text in asked["expressions"].items()
        }, None
    except ExpressionFailed as failed:
        return {}, str(failed)


def _children(message: Mapping[str, Any], world: World) -> tuple[dict[str, Any], ...]:
    branches = message["task"].get("branches") or {}
    times = [world.now.isoformat()] * 3
    history = list(zip(("CREATED", "RUNNING", "SUCCESS"), times, strict=True))
    return tuple(
        {"task_id": child["id"], "history": history, "attempt_state": "SUCCESS"}
        for child in branches.get("tasks", ())
        if not child["disabled"]
    )


def ended(execution: Execution) -> Ended:
    """What an execution came to."""
    runs = [run for run in execution.runs.values() if not run.task_id.startswith("w_")]
    tasks = Counter((run.task_id, run.state.value) for run in runs)
    return Ended(state=execution.state.value, tasks=dict(tasks))
