"""The mutable draft that one fold works on: task runs, open groups, commands.

It offers the few moves that every rule is made of (create, move, end, ask, say) and keeps the
counts right. Which move is made when is said in the modules around it, one for each kind of event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime

from penstock_runner.engine import commands as c
from penstock_runner.engine.altered import altered
from penstock_runner.engine.flowables import template as templates
from penstock_runner.engine.groups import ROOT, Group
from penstock_runner.engine.plan import FINALLY, Node, Plan
from penstock_runner.engine.state import TEMPLATES, Execution, RunKey, State, TaskRun
from penstock_runner.flow.model import Level

WAITING = frozenset({State.CREATED, State.QUEUED, State.RESTARTED})


class Draft:
    """One execution while events are applied to it."""

    def __init__(self, plan: Plan, execution: Execution) -> None:
        self.plan = plan.with_templates(templates.known(execution))
        self.head = altered(execution, {"runs": {}})
        self.runs: dict[RunKey, TaskRun] = dict(execution.runs)
        self.groups: dict[RunKey, Group] = {}
        self.dirty: deque[Group] = deque()
        self.commands: list[c.Command] = []
        self.changed: set[RunKey] = set()
        self.removed: set[RunKey] = set()
        self.paused: set[RunKey] = set()
        self.held: set[RunKey] = set()
        self.touched = False
        self.stale = False
        self.at: datetime = execution.history[-1][1]
        last = max((run.order for run in self.runs.values()), default=-1)
        # What was removed had its places, too: a stored execution goes on counting like this one.
        self.next_order = max(1 + last, int(str(execution.facts.get("orders", 0))))

    # The execution itself

    @property
    def state(self) -> State:
        """Where the execution stands."""
        return self.head.history[-1][0]

    @property
    def killing(self) -> bool:
        """Whether the execution is being killed."""
        return self.state is State.KILLING

    def set_state(self, *states: State) -> None:
        """Move the execution; the same state again is no change."""
        history = self.head.history
        for state in states:
            if state is not history[-1][0]:
                history = (*history, (state, self.at))
        if history is not self.head.history:
            self.head = altered(self.head, {"history": history})

    def update(self, **changes: object) -> None:
        """Change fields of the execution."""
        self.head = altered(self.head, changes)

    def fact(self, name: str) -> object:
        """What the engine has noted on the execution."""
        return self.head.facts.get(name)

    def note(self, **facts: object) -> None:
        """Note something on the execution; None takes the note away."""
        self.update(facts=_merged(self.head.facts, facts))

    # Task runs

    def put(self, run: TaskRun) -> TaskRun:
        """Write a task run."""
        self.runs[run.key] = run
        self.changed.add(run.key)
        if run.history[-1][0] is State.PAUSED:
            self.paused.add(run.key)
        elif self.paused:
            self.paused.discard(run.key)
        self.touched = True
        return run

    def move(self, run: TaskRun, *states: State, **changes: object) -> TaskRun:
        """Move a task run through `states`, all now."""
        history = run.history
        for state in states:
            if state is not history[-1][0]:
                history = (*history, (state, self.at))
        changes["history"] = history
        return self.put(altered(run, changes))

    def note_run(self, run: TaskRun, **facts: object) -> TaskRun:
        """Note something on a task run; None takes the note away."""
        return self.put(altered(run, {"facts": _merged(run.facts, facts)}))

    def hold(self, run: TaskRun) -> None:
        """Keep a task run from starting until the execution is resumed."""
        self.held.add(run.key)
        self.note_run(run, held=True)

    def remove(self, key: RunKey) -> None:
        """Forget a task run."""
        if self.runs.pop(key, None) is not None:
            self.changed.discard(key)
            self.removed.add(key)
            self.touched = True
            self.paused.discard(key)
            self.held.discard(key)
            self.groups.pop(key, None)
            if self.fact("orders") != self.next_order:
                self.note(orders=self.next_order)

    def node(self, run: TaskRun) -> Node:
        """The task of a task run, in its place."""
        return self.plan.node_of(run.key)

    def adopt(self, node: Node, template: Mapping[str, object]) -> Node:
        """Go on with the tasks of a template under a node, from now to the end."""
        found = {**templates.known(self.head), node.id: template}
        self.note(**{TEMPLATES: found})
        self.plan = self.plan.with_templates(found)
        return self.plan.node(node.id)

    def create(self, group: Group, node: Node, value: int | None, *, attempts: int = 0) -> TaskRun:
        """A new task run, CREATED, as a child of the group, with so many attempts asked for."""
        place = group.places if value is None else (*group.places, value)
        suffix = "".join(f".{index}" for index in place)
        key = RunKey(f"{node.id}{suffix}{group.rounds}")
        facts = self._numbers(key)
        run = TaskRun(
            key=key,
            task_id=node.task.id,
            order=self.next_order,
            history=((State.CREATED, self.at),),
            parent=group.key or None,
            value=None if value is None or group.values is None else group.values[value],
            place=place,
            iteration=self._iteration(group),
            attempt=int(str(facts.get("base", 0))) + attempts,
            facts=facts,
        )
        self.next_order += 1
        group.children[run.key] = None
        if node.stage == group.stage:
            group.open += 1
        self.removed.discard(run.key)
        return self.put(run)

    def _numbers(self, key: RunKey) -> Mapping[str, object]:
        """The numbers that a task run goes on from, when an earlier one of its key was set back."""
        before = self.head.facts.get("before")
        found = before.get(key) if isinstance(before, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def _iteration(self, group: Group) -> int | None:
        if not group.node.flowable.repeats:
            return None
        return int(str(self.runs[group.key].facts.get("round", 1)))

    def end(self, run: TaskRun, *states: State, **changes: object) -> TaskRun:
        """End a task run, count it in its group, and have the group looked at."""
        run = self.move(run, *states, **changes)
        self.groups.pop(run.key, None)
        self.held.discard(run.key)
        self.stale = True
        group = self.groups.get(run.parent or ROOT)
        if group is not None and run.key in group.children:
            del group.children[run.key]
            group.ended(self.node(run), run.place, run.state)
            self.dirty.append(group)
        return run

    # Groups

    def group_of(self, run: TaskRun) -> Group | None:
        """The open group that the task run is a child of."""
        return self.groups.get(run.parent or ROOT)

    def open_group(self, run: TaskRun | None, node: Node, branch: str | None) -> Group:
        """The group of a flowable that begins; of the flow itself without a task run."""
        parent = None if run is None else self.group_of(run)
        group = Group(
            ROOT if run is None else run.key,
            node,
            branch=branch,
            values=None if run is None else run.values,
            places=() if run is None else run.place,
            rounds=rounds_of(run, node),
            sheltered=node.stage == FINALLY or (parent is not None and parent.sheltered),
        )
        group.cut = run is not None and (parent is None or parent.left(node))
        self.groups[group.key] = group
        return group

    def shelters(self, group: Group) -> bool:
        """Whether what opens in the group now goes on through a kill."""
        return (group.sheltered or group.stage == FINALLY) and self.fact("kills") != 2

    def orphaned(self, run: TaskRun) -> bool:
        """Whether a group around the task run has ended, so that its end only is noted."""
        group = self.group_of(run)
        return group is None or group.left(self.node(run)) or run.key not in group.children

    # What must be done

    def command(self, command: c.Command) -> None:
        """Ask for something to be done."""
        self.commands.append(command)

    def say(self, run: TaskRun | None, level: Level, message: str) -> None:
        """Write a line into the execution's log."""
        key = None if run is None else run.key
        attempt = 0 if run is None else run.attempt
        self.command(c.WriteLog(key=key, attempt=attempt, level=level, message=message))

    def ask(self, run: TaskRun, purpose: str, expressions: Mapping[str, object]) -> TaskRun:
        """Have expressions rendered for a task run, which waits for the answer."""
        # The number tells a late answer to an earlier question from the one awaited.
        gate, asked = next_gate(run.facts, purpose)
        self.command(c.Evaluate(key=run.key, purpose=gate, expressions=expressions))
        return self.note_run(run, gate=gate, asked=asked)

    def ask_of_flow(self, purpose: str, expressions: Mapping[str, object]) -> None:
        """Have expressions rendered as the execution sees the world."""
        gate, asked = next_gate(self.head.facts, purpose)
        self.command(c.Evaluate(key=None, purpose=gate, expressions=expressions))
        self.note(gate=gate, asked=asked)


def sent(run: TaskRun) -> bool:
    """Whether the current attempt was asked for and has not been heard of."""
    if run.attempt == 0 or run.attempt == run.facts.get("base"):
        return False
    return not run.attempts or run.attempts[-1].number != run.attempt


def started(run: TaskRun) -> bool:
    """Whether the current attempt runs."""
    last = run.attempts[-1] if run.attempts else None
    return last is not None and last.number == run.attempt and last.state is State.RUNNING


def next_gate(facts: Mapping[str, object], purpose: str) -> tuple[str, Mapping[str, int]]:
    """The name of the next question of this kind, and the count of all questions so far."""
    before = facts.get("asked")
    asked: dict[str, int] = dict(before) if isinstance(before, Mapping) else {}
    asked[purpose] = asked.get(purpose, 0) + 1
    return (purpose if asked[purpose] == 1 else f"{purpose}#{asked[purpose]}"), asked


def _merged(old: Mapping[str, object], new: Mapping[str, object]) -> Mapping[str, object]:
    merged = {**old, **new}
    return {name: value for name, value in merged.items() if value is not None}


def rounds_of(run: TaskRun | None, node: Node) -> str:
    """The end of the keys of a flowable's children: the rounds of all loops around them."""
    if run is None:
        return ""
    _, mark, rest = run.key.partition("#")
    around = f"{mark}{rest}"
    return f"{around}#{turn_of(run)}" if node.flowable.repeats else around


def turn_of(run: TaskRun) -> int:
    """Which round of a loop this is, counted over all lives of its task run."""
    return int(str(run.facts.get("round", 1))) + int(str(run.facts.get("turns", 0)))
