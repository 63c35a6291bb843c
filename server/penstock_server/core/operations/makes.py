"""What each action on an execution comes to: its events, or why it is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from penstock_runner.engine import events as e
from penstock_runner.engine.marks import unmarkable
from penstock_runner.engine.reopening import between
from penstock_runner.engine.state import State
from penstock_runner.executor.context import taskrun_id
from penstock_runner.executor.live import Live
from penstock_runner.executor.messages import Refused
from penstock_runner.executor.resumes import first_paused
from penstock_runner.flow.labels import RESTARTED

Arguments = Mapping[str, Any]
Make = Callable[[Live, datetime], Sequence[e.Event]]


def kill(a: Arguments) -> Make:
    """Kill it; with `cascade` one that has ended, too, as its children are meant as well.

    `children` says whether subflows that it waits for are killed, as `cascade` does when left out.
    """
    cascade = a.get("cascade", True)
    children = a.get("children", cascade)

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        if live.state.terminal and not cascade:
            message = "Illegal state: Execution is already finished, can't kill it"
            raise Refused(message, status=409)
        return () if live.state.terminal else (e.KillRequested(at=at, cascade=children),)

    return make


def pause(_: Arguments) -> Make:
    """Start nothing more in it."""

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        if live.state not in (State.RUNNING, State.KILLING):
            raise Refused("Illegal argument: The execution is not running")
        return (e.PauseRequested(at=at),)

    return make


def resume(a: Arguments) -> Make:
    """Let it go on, with what its Pause task asked for."""

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        if live.state is not State.PAUSED:
            raise Refused(f"Execution '{live.id}' is not paused, can't resume it", status=409)
        key = first_paused(live.execution())
        return (e.Resumed(at=at, key=key, outputs=a.get("inputs")),)

    return make


def restart(_: Arguments) -> Make:
    """Run again what failed in it."""

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        if not (live.state.terminal or live.state is State.PAUSED):
            raise Refused(
                "Execution must be terminated to be restarted, "
                f"current state is '{live.state.value}' !",
                status=409,
            )
        if between(live.fold.head):
            message = "Tasks still run after the end of the execution: restart it after them"
            raise Refused(message, status=409)
        if not any(run.state in (State.FAILED, State.PAUSED) for run in live.fold.runs.values()):
            raise Refused("No task found to restart execution from!")
        return (e.RestartRequested(at=at), e.LabelsSet(at=at, labels={RESTARTED: "true"}))

    return make


def mark(a: Arguments) -> Make:
    """Give a task run of it another state, and run what follows again."""
    state = State(a["state"])

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        for run in live.fold.runs.values():
            if taskrun_id(live.id, run.key) == a["taskrun_id"]:
                reason = unmarkable(live.fold.plan, live.fold.head, run, state)
                if reason is not None:
                    raise Refused(reason)
                return (e.TaskRunMarked(at=at, key=run.key, state=state),)
        raise Refused("No task found to restart execution from!")

    return make


def status(a: Arguments) -> Make:
    """Give it another end state."""
    wanted = State(a["status"])

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        if not live.state.terminal:
            raise Refused("You can only change the status of a terminated execution.")
        if not wanted.terminal:
            raise Refused("You can only change the status of an execution to a terminal state.")
        return (e.StatusChanged(at=at, state=wanted),)

    return make


def labels(a: Arguments) -> Make:
    """Put labels on it."""

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        if not live.state.terminal:
            raise Refused("The execution is not terminated", status=400)
        return (e.LabelsSet(at=at, labels=dict(a["labels"])),)

    return make


def force(_: Arguments) -> Make:
    """Let it run now, whatever it waits for."""

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        if live.state.terminal:
            raise Refused("Only non terminated executions can be forced run.")
        return (e.Forced(at=at),)

    return make


def unqueue(_: Arguments) -> Make:
    """Let it run regardless of the limit that it waits for."""

    def make(live: Live, at: datetime) -> Sequence[e.Event]:
        if live.state is not State.QUEUED:
            raise Refused("Only QUEUED execution can be unqueued")
        return (e.Forced(at=at),)

    return make


def nothing(_: Arguments) -> Make:
    """Refuse nothing, and change nothing."""
    return lambda _live, _at: ()
