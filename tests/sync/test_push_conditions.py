"""Conditions, inputs and labels of push triggers: asked with the variables of the commit."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.git_http import Repository
from tests.sync.world import World, flow

TRIGGERS = """inputs:
  - {{id: what, type: STRING, required: false}}
triggers:
  - id: first
    type: io.penstock.trigger.Push
    conditions:
      - {{type: io.kestra.plugin.core.condition.Expression, expression: "{expression}"}}
"""
SECOND = """  - id: second
    type: io.penstock.trigger.Push
    inputs: {what: "{{ trigger.branch }} {{ trigger.message }}"}
    labels: {by: "{{ trigger.author }}"}
"""


def triggers(expression: str, more: str = "") -> str:
    return TRIGGERS.format(expression=expression) + more


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


@pytest.fixture
def world(tmp_path: Path, repository: Repository) -> Iterator[World]:
    made = World(tmp_path, url=f"file://{repository.path}")
    yield made
    made.close()


def test_a_push_starts_only_flows_whose_conditions_hold_of_its_commit(
    repository: Repository, world: World
) -> None:
    wanted = triggers("{{ trigger.message contains 'release' }}")
    unwanted = triggers("{{ trigger.branch == 'other' }}")
    repository.commit({"a.yml": flow("a", wanted), "b.yml": flow("b", unwanted)})
    world.sync()
    repository.commit({"x": "1"}, "a change")
    world.sync()
    assert world.starter.started == []
    repository.commit({"x": "2"}, "a release")
    world.sync()
    assert [start.flow_id for start in world.starter.started] == ["a"]


def test_conditions_are_those_of_the_revision_that_the_commit_brings(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a", triggers("{{ false }}"))})
    world.sync()
    repository.commit({"a.yml": flow("a", triggers("{{ true }}"))})
    world.sync()
    assert [start.flow_id for start in world.starter.started] == ["a"]


def test_where_one_trigger_does_not_want_the_commit_the_next_is_asked(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a", triggers("{{ false }}", SECOND))})
    world.sync()
    repository.commit({"x": "1"}, "news")
    world.sync()
    [start] = world.starter.started
    assert start.trigger is not None
    assert start.trigger.id == "second"
    assert (start.inputs, start.labels) == ({"what": "main news"}, {"by": "Ana Ruiz"})


def test_a_condition_that_cannot_be_evaluated_starts_nothing_and_is_logged(
    repository: Repository, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    repository.commit({"a.yml": flow("a", triggers("{{ trigger.nothing.at.all }}"))})
    world.sync()
    repository.commit({"x": "1"})
    with caplog.at_level(logging.WARNING):
        assert world.sync()["phase"] == "succeeded"
    assert world.starter.started == []
    assert "push did not start team.a: trigger 'first'" in caplog.text
