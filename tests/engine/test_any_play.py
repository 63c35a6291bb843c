"""Any flow, any order of news, late and doubled reports: what always holds.

`PENSTOCK_PLAYS=4000` searches longer and deeper, for some minutes.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, settings, target
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.engine.story import NOON, execution
from tests.engine.trees import CONTENT, flows

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.flowables.api import Role
from penstock_runner.engine.flowables.template import FOUND, known
from penstock_runner.engine.flowables.template import PURPOSE as TEMPLATE
from penstock_runner.engine.fold import Fold, fold
from penstock_runner.engine.marks import MARKS
from penstock_runner.engine.plan import AFTER, FINALLY, LISTENERS, Plan
from penstock_runner.engine.restarts import restartable
from penstock_runner.engine.state import Execution, RunKey, State, TaskRun
from penstock_runner.flow.model import Flow

USUAL = 60
PLAYS = int(os.environ.get("PENSTOCK_PLAYS", USUAL))
ENDS = [State.SUCCESS] * 3 + [State.FAILED] * 2 + [State.WARNING, State.KILLED]
EXITS = [State.SUCCESS, State.WARNING, State.FAILED, State.CANCELLED, State.KILLED]
# How often a play is restarted, marked or copied.
AGAIN = 3
TRUTHS = ["true", "true", "false", ""]


def differing(one: Execution, other: Execution) -> list[object]:
    """The task runs that are not the same, and the executions when it is not that."""
    keys = dict.fromkeys([*one.runs, *other.runs])
    runs = [
        (one.runs.get(key), other.runs.get(key))
        for key in keys
        if one.runs.get(key) != other.runs.get(key)
    ]
    return runs or ([] if one == other else [one, other])


class AnyPlay(RuleBasedStateMachine):
    """Plays runner, renderer, timers, children and a person for one drawn flow."""

    @initialize(flow=flows())
    def begin(self, flow: Flow) -> None:
        self.plan = Plan.of(flow)
        self.at = NOON
        self.copies = 0
        self.play_on(execution())
        self.tell(e.Started(at=self.at))

    def play_on(self, first: Execution) -> None:
        """Play on with this execution, of which nothing has been asked yet."""
        self.first = first
        self.fold = Fold(self.plan, first)
        self.stored = first
        self.events: list[e.Event] = []
        self.commands: list[c.Command] = []
        self.waiting: list[c.Command] = []
        self.children: list[c.StartSubflow] = []
        self.kills = 0
        # How often it was taken up again: after its end, and at all.
        self.lives = 1
        self.marks = 0
        self.status: State | None = None
        # Attempts of task runs that were marked since: nobody waits for them.
        self.past: set[tuple[RunKey, int]] = set()

    def tell(self, event: e.Event) -> None:
        self.events.append(event)
        before_kill = self.kills
        if isinstance(event, e.KillRequested):
            self.kills += 1
        over, number = self.over, self.fold.head.attempt_number
        commands = self.fold.feed(event)
        if self.fold.head.attempt_number > number:
            # Somebody has taken it up again: what was is over and done with.
            self.lives += over
            self.kills = before_kill = 0
            self.status = None
        # The same news told to the stored execution, from nothing else, decides the same.
        stored = fold(self.plan, self.stored, [event])
        assert stored.commands == commands, (event, stored.commands, commands)
        assert differing(stored.execution, self.fold.execution()) == []
        self.stored = stored.execution
        self.commands.extend(commands)
        self.waiting.extend(
            command
            for command in commands
            if isinstance(command, c.RunJob | c.Evaluate | c.StartTimer | c.StartSubflow)
        )
        self.checked(commands, before_kill)

    def checked(self, commands: tuple[c.Command, ...], kills: int) -> None:
        over = self.ends() - sum(isinstance(x, c.End) for x in commands) >= self.lives
        for command in commands:
            opens = isinstance(command, c.RunJob | c.Evaluate | c.StartTimer | c.StartSubflow)
            assert not (over and opens), commands
            over = over or isinstance(command, c.End)
        if kills == 0:
            return
        for command in commands:
            if isinstance(command, c.RunJob | c.StartSubflow):
                run = self.fold.run(command.key)
                let_through = FINALLY in self.stages(run) or self.follows_the_end(run)
                assert let_through, f"{command.key} began after a kill"

    def stages(self, run: TaskRun) -> set[str]:
        plan = self.fold.plan
        task = plan.node_of(run.key)
        return {node.stage for node in [task, *plan.parents(task.id)]}

    def follows_the_end(self, run: TaskRun) -> bool:
        return any(stage == AFTER or stage.startswith(LISTENERS) for stage in self.stages(run))

    def ends(self) -> int:
        return sum(isinstance(command, c.End) for command in self.commands)

    @property
    def over(self) -> bool:
        """Whether its end was told in this life."""
        return self.ends() >= self.lives

    @precondition(lambda self: self.over)
    @rule(chance=st.integers(0, 2))
    def restart(self, chance: int) -> None:
        if chance == 0 and self.lives <= AGAIN:
            failed = any(
                restartable(run) and not self.follows_the_end(run)
                for run in self.fold.runs.values()
            )
            self.tell(e.RestartRequested(at=self.at))
            assert not (self.over and failed and self.fold.state is State.FAILED)

    @precondition(lambda self: self.fold.runs and self.marks < AGAIN)
    @rule(data=st.data(), chance=st.integers(0, 7))
    def mark(self, data: st.DataObject, chance: int) -> None:
        if chance == 0:
            self.marks += 1
            key = data.draw(st.sampled_from(sorted(self.fold.runs)))
            state = data.draw(st.sampled_from(sorted(MARKS)))
            old, attempt = self.fold.head, self.fold.run(RunKey(key)).attempt
            self.tell(e.TaskRunMarked(at=self.at, key=key, state=state))
            if self.fold.head.attempt_number > old.attempt_number:
                self.past.add((RunKey(key), attempt))
                run = self.fold.run(key)
                assert run.state is state or not state.terminal
                self.not_cut_off_at_once(old.state, run)

    @precondition(lambda self: self.fold.runs and self.copies < AGAIN)
    @rule(data=st.data(), chance=st.integers(0, 9))
    def replay(self, data: st.DataObject, chance: int) -> None:
        """A copy goes on in the place of the original, which is left as it is."""
        if chance == 0:
            self.copies += 1
            key = data.draw(st.sampled_from(sorted(self.fold.runs)))
            old = self.fold.execution()
            self.play_on(replace(old, id=f"x{self.copies + 1}", parent_id=old.id, version=0))
            self.tell(e.ReplayRequested(at=self.at, key=RunKey(key)))
            assert self.fold.head.attempt_number > old.attempt_number
            if RunKey(key) in self.fold.runs:
                self.not_cut_off_at_once(old.state, self.fold.run(RunKey(key)))

    def not_cut_off_at_once(self, before: State, run: TaskRun) -> None:
        """What a person wants to run runs, unless a failure was held up by a pause."""
        assert before is State.PAUSED or not run.facts.get("cut"), run

    @rule(state=st.sampled_from(EXITS), chance=st.integers(0, 7))
    def change_status(self, state: State, chance: int) -> None:
        if chance == 0:
            before = self.fold.execution()
            self.tell(e.StatusChanged(at=self.at, state=state))
            if not before.state.terminal:
                assert self.fold.execution() == before
                return
            assert dict(self.fold.runs) == before.runs
            assert self.fold.state is state
            self.status = state if self.over else None

    def later(self) -> None:
        self.at += timedelta(seconds=1)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def news(self, data: st.DataObject) -> None:
        self.later()
        place = data.draw(st.integers(0, len(self.waiting) - 1))
        self.answer(self.waiting.pop(place), data)

    def answer(self, command: c.Command, data: st.DataObject) -> None:
        match command:
            case c.RunJob():
                how = data.draw(st.sampled_from(["start", "end", "end", "end", "lost", "stopped"]))
                where = {"at": self.at, "key": command.key, "attempt": command.attempt}
                if (command.key, command.attempt) in self.past:
                    before = self.fold.execution()
                    self.tell(e.JobEnded(**where, state=State.SUCCESS))
                    assert self.fold.execution() == before
                    return
                if how == "lost":
                    self.tell(e.JobLost(**where))
                    return
                if how == "stopped":
                    self.tell(e.JobLost(**where, planned=True))
                    return
                if how == "start":
                    self.tell(e.JobStarted(**where))
                if data.draw(st.integers(0, 9)) == 0:
                    state = data.draw(st.sampled_from(EXITS))
                    self.tell(e.ExitRequested(at=self.at, key=command.key, state=state))
                self.report(command)
                self.tell(e.JobEnded(**where, state=data.draw(st.sampled_from(ENDS))))
            case c.Evaluate():
                failed = data.draw(st.integers(0, 9)) == 0
                values = {
                    name: data.draw(st.sampled_from(TRUTHS)) if "{" in str(asked) else asked
                    for name, asked in command.expressions.items()
                }
                if command.purpose.split("#")[0] == TEMPLATE:
                    values[FOUND] = self.template(command)
                self.tell(
                    e.Evaluated(
                        at=self.at,
                        key=command.key,
                        purpose=command.purpose,
                        values={} if failed else values,
                        error="wrong" if failed else None,
                    )
                )
            case c.StartTimer():
                self.at = max(self.at, command.at)
                self.tell(
                    e.TimerFired(
                        at=self.at,
                        key=command.key,
                        attempt=command.attempt,
                        purpose=command.purpose,
                    )
                )
            case c.StartSubflow():
                self.child_begins(command)
            case _:
                raise AssertionError(command)

    def template(self, command: c.Evaluate) -> object:
        """The tasks of a template, once for all who bring it in at one place."""
        node = self.fold.plan.node_of(RunKey(str(command.key)))
        return True if node.id in known(self.fold.head) else node.task.properties[CONTENT]

    def report(self, command: c.RunJob) -> None:
        """A working directory tells of its children before its end."""
        node = self.fold.plan.node_of(command.key)
        if node.role is not Role.DIRECTORY:
            return
        history = ((State.CREATED, self.at), (State.RUNNING, self.at), (State.SUCCESS, self.at))
        children = tuple(
            e.ChildEnd(task_id=task.id, history=history, attempt_state=State.SUCCESS)
            for task in node.task.branches["tasks"]
        )
        where = {"at": self.at, "key": command.key, "attempt": command.attempt}
        self.tell(e.ChildrenReported(**where, children=children))

    def child_begins(self, command: c.StartSubflow) -> None:
        self.tell(e.SubflowStarted(**self.child(command)))
        self.children.append(command)

    def child(self, command: c.StartSubflow) -> dict[str, object]:
        return {
            "at": self.at,
            "key": command.key,
            "attempt": command.attempt,
            "index": command.index,
            "execution_id": f"{command.key}/{command.attempt}/{command.index}",
        }

    @precondition(lambda self: self.children)
    @rule(state=st.sampled_from(ENDS))
    def child_ends(self, state: State) -> None:
        self.tell(e.SubflowEnded(**self.child(self.children.pop(0)), state=state))

    @precondition(lambda self: len(self.events) > 1)
    @rule(data=st.data())
    def doubled(self, data: st.DataObject) -> None:
        news = [
            event
            for event in self.events
            if isinstance(
                event,
                e.JobStarted
                | e.JobEnded
                | e.JobLost
                | e.Evaluated
                | e.TimerFired
                | e.SubflowStarted
                | e.SubflowEnded
                | e.Started,
            )
        ] or [e.Started(at=self.at)]
        before, said = self.fold.execution(), len(self.commands)
        again = data.draw(st.sampled_from(news))
        self.tell(again)
        assert self.fold.execution() == before, (again, differing(before, self.fold.execution()))
        assert len(self.commands) == said, (again, self.commands[said:])

    @precondition(lambda self: self.fold.state is State.RUNNING)
    @rule(chance=st.integers(0, 3))
    def pause(self, chance: int) -> None:
        if chance == 0:
            self.tell(e.PauseRequested(at=self.at))

    @precondition(lambda self: self.fold.state is State.PAUSED)
    @rule()
    def resume(self) -> None:
        self.tell(e.Resumed(at=self.at))

    @rule(chance=st.integers(0, 15))
    def kill(self, chance: int) -> None:
        if chance == 0:
            self.tell(e.KillRequested(at=self.at))

    @invariant()
    def nothing_is_asked_twice(self) -> None:
        if not hasattr(self, "plan"):
            return
        jobs = [(x.key, x.attempt) for x in self.commands if isinstance(x, c.RunJob)]
        assert len(jobs) == len(set(jobs))
        timers = [
            (x.key, x.attempt, x.purpose) for x in self.commands if isinstance(x, c.StartTimer)
        ]
        assert len(timers) == len(set(timers))
        children = [
            (x.key, x.attempt, x.index) for x in self.commands if isinstance(x, c.StartSubflow)
        ]
        assert len(children) == len(set(children))
        questions = [(x.key, x.purpose) for x in self.commands if isinstance(x, c.Evaluate)]
        assert len(questions) == len(set(questions))

    @invariant()
    def what_has_not_ended_waits_for_something(self) -> None:
        if not hasattr(self, "plan"):
            return
        ended = [x for x in self.commands if isinstance(x, c.End)]
        assert len(ended) <= self.lives
        if self.over:
            assert self.fold.state is (self.status or ended[-1].state)
            return
        assert (
            self.waiting
            or self.children
            or self.fold.state is State.PAUSED
            or (any(run.state is State.PAUSED for run in self.fold.runs.values()))
        )

    @invariant()
    def an_ended_task_run_stays_ended(self) -> None:
        if not hasattr(self, "plan") or self.marks or self.fold.head.attempt_number > 1:
            return
        for run in self.fold.runs.values():
            parent = self.fold.plan.node(self.fold.plan.node_of(run.key).parent)
            if parent.role is Role.DIRECTORY:
                continue  # a second attempt of the directory runs its children again
            ends = [state for state, _ in run.history if state.terminal and state != "FAILED"]
            assert len(ends) <= 1, run

    def teardown(self) -> None:
        if not hasattr(self, "plan"):
            return
        self.finish()
        whole = fold(self.plan, self.first, self.events)
        assert whole.execution == self.fold.execution()
        assert whole.commands == tuple(self.commands)
        target(float(len(self.fold.runs)))

    def finish(self) -> None:
        """Let everything end well: it must end."""
        for _ in range(2000):
            self.later()
            if self.waiting:
                self.close(self.waiting.pop(0))
            elif self.children:
                self.tell(e.SubflowEnded(**self.child(self.children.pop(0)), state=State.SUCCESS))
            elif self.fold.state is State.PAUSED:
                self.tell(e.Resumed(at=self.at))
            elif paused := [r for r in self.fold.runs.values() if r.state is State.PAUSED]:
                self.tell(e.Resumed(at=self.at, key=paused[0].key))
            else:
                break
        assert self.ends() == self.lives, self.fold.execution()
        alive = [run for run in self.fold.runs.values() if not run.state.terminal]
        assert not alive, alive

    def close(self, command: c.Command) -> None:
        match command:
            case c.RunJob():
                self.tell(
                    e.JobEnded(
                        at=self.at,
                        key=command.key,
                        attempt=command.attempt,
                        state=State.SUCCESS,
                    )
                )
            case c.Evaluate():
                values: dict[str, object] = dict.fromkeys(command.expressions, "true")
                values |= {"checkFrequency": {}, "batches": ["u0", "u1"]}
                self.tell(
                    e.Evaluated(at=self.at, key=command.key, purpose=command.purpose, values=values)
                )
            case c.StartTimer():
                self.tell(
                    e.TimerFired(
                        at=max(self.at, command.at),
                        key=command.key,
                        attempt=command.attempt,
                        purpose=command.purpose,
                    )
                )
            case c.StartSubflow():
                self.child_begins(command)


TestAnyPlay = AnyPlay.TestCase
TestAnyPlay.settings = settings(
    max_examples=PLAYS,
    # Restarts upon restarts need long plays.
    stateful_step_count=30 if PLAYS <= USUAL else 60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
