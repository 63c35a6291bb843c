"""Executions of earlier days, told to the engine of today: what was stored still follows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.engine.recorded import FOLDER, History, read

from penstock_runner.engine import commands as c
from penstock_runner.engine import events as e
from penstock_runner.engine.fold import Fold, fold
from penstock_runner.engine.plan import Plan
from penstock_runner.engine.state import Execution
from penstock_runner.flow.parse import parse_flow

FILES = sorted(FOLDER.glob("*.json"))


def plan_of(history: History) -> Plan:
    flow = parse_flow(history.flow).effective
    assert flow is not None
    return Plan.of(flow)


def plain(execution: Execution) -> Execution:
    """The execution as a value of its own, whatever write it came with."""
    return replace(execution, version=0, runs=dict(execution.runs))


def asked_for(event: e.Event) -> object:
    """What must have been asked before this can be told."""
    match event:
        case e.JobStarted() | e.JobEnded():
            return (c.RunJob, event.key, event.attempt)
        case e.Evaluated():
            return (c.Evaluate, event.key, event.purpose)
        case e.TimerFired():
            return (c.StartTimer, event.key, event.attempt)
        case e.SubflowStarted() | e.SubflowEnded():
            return (c.StartSubflow, event.key, event.attempt)
        case _:
            return None


def asked(command: c.Command) -> object:
    match command:
        case c.RunJob() | c.StartTimer() | c.StartSubflow():
            return (type(command), command.key, command.attempt)
        case c.Evaluate():
            return (c.Evaluate, command.key, command.purpose)
        case _:
            return None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recorded_history_comes_to_what_it_came_to(path: Path) -> None:
    history = read(path)
    whole = Fold(plan_of(history), history.begun)
    for event in (event for step in history.steps for event in step):
        whole.feed(event)
    assert plain(whole.execution()) == plain(history.ended)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recorded_history_can_be_taken_up_after_every_write(path: Path) -> None:
    history = read(path)
    plan, one = plan_of(history), history.begun
    for step in history.steps:
        one = fold(plan, one, step).execution
    assert plain(one) == plain(history.ended)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_all_that_a_recorded_history_answers_is_still_asked(path: Path) -> None:
    history = read(path)
    whole = Fold(plan_of(history), history.begun)
    questions: set[object] = {None}
    for event in (event for step in history.steps for event in step):
        assert asked_for(event) in questions
        questions.update(asked(command) for command in whole.feed(event))


def test_there_are_histories() -> None:
    assert FILES
