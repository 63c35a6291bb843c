"""Small builders for the stories of executions: flows, events, and the world around them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.fold import Fold
from penstock_runner.engine.plan import Plan
from penstock_runner.engine.state import Execution, RunKey, State
from penstock_runner.flow.model import Flow, Retry, Task

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CORE = "io.kestra.plugin.core."


def job(name: str, **more: object) -> Task:
    kind = CORE + "log.Log"
    return Task(id=name, type=kind, kind=kind, **more)


def group(
    name: str,
    kind: str,
    *tasks: Task,
    properties: Mapping[str, object] | None = None,
    branches: Mapping[str, tuple[Task, ...]] | None = None,
    **more: object,
) -> Task:
    given = dict(branches or {})
    if tasks:
        given["tasks"] = tasks
    type_ = f"{CORE}flow.{kind}"
    return Task(
        id=name, type=type_, kind=type_, branches=given, properties=properties or {}, **more
    )


def flow(*tasks: Task, **more: object) -> Flow:
    return Flow(id="build", namespace="team", tasks=tasks, **more)


def constant(seconds: float = 1, **more: object) -> Retry:
    return Retry(type="constant", interval=timedelta(seconds=seconds), **more)


def execution(name: str = "x1") -> Execution:
    return Execution(
        id=name,
        namespace="team",
        flow_id="build",
        flow_revision=1,
        history=((State.CREATED, NOON),),
    )


Answer = Callable[[c.Evaluate], e.Evaluated]


class World:
    """Plays runner, renderer and timers for one execution, one thing at a time, in order.

    `outcomes` gives the ends of the attempts of a task; `answers` the rendered values, by key and
    purpose. What is in `silent` never reports.
    """

    def __init__(
        self,
        flow: Flow,
        *,
        outcomes: Mapping[str, list[State]] | None = None,
        answers: Mapping[str, object] | None = None,
        silent: Iterable[str] = (),
    ) -> None:
        self.plan = Plan.of(flow)
        self.fold = Fold(self.plan, execution())
        self.outcomes = {name: list(states) for name, states in (outcomes or {}).items()}
        self.answers = dict(answers or {})
        self.silent = set(silent)
        self.at = NOON
        self.commands: list[c.Command] = []
        self.todo: list[c.Command] = []
        self.events: list[e.Event] = []

    def tell(self, event: e.Event) -> World:
        self.events.append(event)
        commands = self.fold.feed(event)
        self.commands.extend(commands)
        self.todo.extend(commands)
        return self

    def start(self) -> World:
        return self.tell(e.Started(at=self.at))

    def run(self, *, timers: bool = True) -> World:
        """Carry out commands until none is left that this world can carry out."""
        while self.todo:
            command = self.todo.pop(0)
            if isinstance(command, c.StartTimer) and not timers:
                continue
            for event in self.reply(command):
                self.tell(event)
        return self

    def reply(self, command: c.Command) -> list[e.Event]:
        match command:
            case c.RunJob() if command.task_id not in self.silent:
                states = self.outcomes.get(command.task_id)
                state = states.pop(0) if states else State.SUCCESS
                return [
                    e.JobStarted(at=self.at, key=command.key, attempt=command.attempt),
                    e.JobEnded(at=self.at, key=command.key, attempt=command.attempt, state=state),
                ]
            case c.Evaluate():
                return [self.answer(command)]
            case c.StartTimer():
                self.at = max(self.at, command.at)
                return [
                    e.TimerFired(
                        at=self.at,
                        key=command.key,
                        attempt=command.attempt,
                        purpose=command.purpose,
                    )
                ]
            case _:
                return []

    def answer(self, command: c.Evaluate) -> e.Evaluated:
        name = f"{command.key or ''}:{command.purpose.split('#')[0]}"
        found = self.answers.get(name, dict(command.expressions))
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(found, str):
            return e.Evaluated(at=self.at, key=command.key, purpose=command.purpose, error=found)
        return e.Evaluated(at=self.at, key=command.key, purpose=command.purpose, values=found)

    # What is to be seen

    @property
    def state(self) -> State:
        return self.fold.state

    def history(self, key: str | None = None) -> str:
        """The states of a task run or of the execution, as words."""
        found = self.fold.head if key is None else self.fold.run(RunKey(key))
        return " ".join(state.value for state, _ in found.history)

    def states(self) -> dict[str, str]:
        runs = sorted(self.fold.runs.values(), key=lambda run: run.order)
        return {run.key: run.state.value for run in runs}

    def asked(self, kind: type) -> list[c.Command]:
        return [command for command in self.commands if isinstance(command, kind)]

    def ends(self) -> list[State]:
        return [command.state for command in self.commands if isinstance(command, c.End)]

    def logs(self) -> list[str]:
        return [command.message for command in self.commands if isinstance(command, c.WriteLog)]
