"""Executions of some flows start executions of others: once for each state, whatever goes wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.scheduler.service import Service, at

from penstock_runner.engine import events as e
from penstock_runner.engine.state import State
from penstock_server.store import flow_fires

SAY = "{id: say, type: io.kestra.plugin.core.log.Log, message: hi}"
FAIL = "{id: say, type: io.kestra.plugin.core.execution.Fail}"
RETURN = "{id: make, type: io.kestra.plugin.core.debug.Return, format: made}"
PAUSE = "{id: wait, type: io.kestra.plugin.core.flow.Pause}"
OF_UP = "{type: io.kestra.plugin.core.condition.ExecutionFlow, namespace: team, flowId: up}"
BOTH = """
    preconditions:
      id: both
      flows:
        - {namespace: team, flowId: up, states: [SUCCESS]}
        - {namespace: team, flowId: other}
"""


def flow(flow_id: str, *tasks: str, more: str = "") -> str:
    listed = "".join(f"  - {task}\n" for task in tasks or (SAY,))
    return f"id: {flow_id}\nnamespace: team\ntasks:\n{listed}{more}"


def listener(properties: str, *tasks: str, flow_id: str = "down", more: str = "") -> str:
    trigger = "triggers:\n  - id: after\n    type: io.kestra.plugin.core.trigger.Flow\n"
    return flow(flow_id, *tasks, more=more + trigger + f"    {properties.strip()}\n")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.database.close()


def test_an_execution_that_ends_starts_those_who_listen(service: Service) -> None:
    service.save(
        listener(f"conditions: [{OF_UP}]\n    labels: {{from: '{{{{ trigger.flowId }}}}'}}")
    )
    service.save(flow("up"))
    service.save(flow("other"))
    service.run("other")
    assert service.executions("down") == []
    upstream = service.run("up")
    [execution] = service.executions("down")
    assert execution.trigger is not None
    assert execution.trigger.variables == {
        "executionId": upstream.id,
        "namespace": "team",
        "flowId": "up",
        "flowRevision": 1,
        "state": "SUCCESS",
    }
    assert execution.labels == {"from": "up"}
    assert execution.state is State.SUCCESS


def test_every_state_that_is_asked_for_counts_once(service: Service) -> None:
    service.save(listener(f"conditions: [{OF_UP}]\n    states: [RUNNING, PAUSED, SUCCESS]"))
    service.save(flow("up", PAUSE))
    upstream = service.run("up")
    assert seen(service) == ["RUNNING", "PAUSED"]
    service.clock.forward(seconds=1)
    service.start()
    service.executor.recover()
    service.settle()
    key = next(iter(upstream.runs))
    service.executor.tell(upstream.id, e.Resumed(at=service.clock.now(), key=key))
    service.settle()
    assert seen(service) == ["RUNNING", "PAUSED", "RUNNING", "SUCCESS"]


def seen(service: Service) -> list[object]:
    found = service.executions("down")
    return [one.trigger.variables["state"] for one in found if one.trigger is not None]


def test_inputs_come_from_the_upstream_execution(service: Service) -> None:
    given = "inputs: {made: '{{ outputs.make.value }}', named: '{{ trigger.outputs.result }}'}"
    declared = "inputs:\n  - {id: made, type: INT}\n  - {id: extra, type: STRING, defaults: x}\n"
    service.save(listener(f"conditions: [{OF_UP}]\n    {given}", more=declared))
    result = "outputs:\n  - {id: result, type: STRING, value: '{{ outputs.make.value }}!'}\n"
    service.save(flow("up", RETURN, more=result))
    service.run("up")
    [execution] = service.executions("down")
    # They are put as they are: `made` is no INT, and nobody asks.
    assert execution.inputs == {"made": "made", "named": "made!"}


def test_a_start_that_fails_is_a_warning_and_the_upstream_never_knows(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.save(
        listener(f"conditions: [{OF_UP}]\n    inputs: {{x: '{{{{ outputs.no.value }}}}'}}")
    )
    service.save(listener(f"conditions: [{OF_UP}]", flow_id="fine"))
    service.save(flow("up"))
    with caplog.at_level(logging.WARNING):
        upstream = service.run("up")
    assert upstream.state is State.SUCCESS
    assert service.executions("down") == []
    assert len(service.executions("fine")) == 1
    [said] = [one for one in caplog.messages if "Failed to trigger" in one]
    assert said.startswith("Failed to trigger flow team.down by 'after': ")


def test_a_condition_that_fails_counts_as_false(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    broken = "{type: io.kestra.plugin.core.condition.Expression, expression: '{{ nope() }}'}"
    service.save(listener(f"conditions: [{OF_UP}, {broken}]"))
    service.save(flow("up"))
    assert service.run("up").state is State.SUCCESS
    assert service.executions("down") == []
    assert "team.down: condition Expression counts as false" in caplog.text


def test_flows_and_triggers_that_are_off_do_not_listen(service: Service) -> None:
    service.save(listener(f"conditions: [{OF_UP}]\n    disabled: true", flow_id="one"))
    service.save(listener(f"conditions: [{OF_UP}]", flow_id="two"))
    service.save(listener(f"conditions: [{OF_UP}]", flow_id="three"))
    service.save(flow("up"))
    service.switch_flow("two", disabled=True)
    service.change(service.changes.switch, ("team", "three", "after"), disabled=True)
    service.start()
    service.run("up")
    assert [len(service.executions(one)) for one in ("one", "two", "three")] == [0, 0, 0]
    service.switch_flow("two", disabled=False)
    service.change(service.changes.switch, ("team", "three", "after"), disabled=False)
    service.run("up")
    assert [len(service.executions(one)) for one in ("one", "two", "three")] == [0, 1, 1]


def test_preconditions_wait_until_all_have_held_within_their_window(service: Service) -> None:
    service.save(listener(BOTH))
    service.save(flow("up"))
    service.save(flow("other", FAIL))
    service.run("up")
    service.run("up")
    assert service.executions("down") == []
    service.run("other")
    assert len(service.executions("down")) == 1
    # The window was closed: everything is awaited anew.
    service.run("other")
    assert len(service.executions("down")) == 1
    service.start()
    service.run("up")
    assert len(service.executions("down")) == 2


def test_what_held_before_the_window_counts_no_more(service: Service) -> None:
    service.save(listener(BOTH))
    service.save(flow("up"))
    service.save(flow("other"))
    service.run("up")
    service.clock.at += timedelta(days=1)
    service.run("other")
    assert service.executions("down") == []
    service.run("up")
    assert len(service.executions("down")) == 1


def test_without_a_reset_each_further_match_fires_again(service: Service) -> None:
    service.save(listener(BOTH.replace("id: both", "id: both\n      resetOnSuccess: false")))
    for name in ("up", "other", "stranger"):
        service.save(flow(name))
    for name in ("up", "other", "up", "stranger"):
        service.run(name)
    assert len(service.executions("down")) == 2


@pytest.mark.parametrize(
    ("filters", "fires"),
    [
        ("[{field: NAMESPACE, type: STARTS_WITH, value: te}]", True),
        ("[{field: FLOW_ID, type: IN, values: [a, up]}]", True),
        ("[{field: FLOW_ID, type: NOT_IN, values: [a, up]}]", False),
        ("[{field: STATE, type: EQUAL_TO, value: SUCCESS}]", True),
        ("[{field: FLOW_ID, type: REGEX, value: u}]", False),
        ("[{field: FLOW_ID, type: REGEX, value: u.}]", True),
        ("[{field: EXPRESSION, type: IS_TRUE, value: '{{ labels.ok == \"yes\" }}'}]", True),
        ("[{field: EXPRESSION, type: IS_FALSE, value: '{{ labels.ok == \"yes\" }}'}]", False),
        ("[{field: EXPRESSION, type: IS_TRUE, value: '{{ nope() }}'}]", False),
    ],
)
def test_filters_look_at_the_execution(service: Service, filters: str, fires: bool) -> None:
    where = f"preconditions:\n      id: p\n      where: [{{id: w, filters: {filters}}}]"
    service.save(listener(where))
    service.save(flow("up"))
    service.run("up", labels={"ok": "yes"})
    assert len(service.executions("down")) == int(fires)


def test_several_conditions_may_hold_for_different_executions(service: Service) -> None:
    kind = "io.kestra.plugin.core.condition"
    several = f"""conditions:
      - id: multiple
        type: {kind}.MultipleCondition
        window: P1D
        windowAdvance: P0D
        conditions:
          success: {{type: {kind}.ExecutionStatus, in: [SUCCESS]}}
          up: {{type: {kind}.ExecutionFlow, namespace: team, flowId: up}}
          other: {{type: {kind}.ExecutionFlow, namespace: team, flowId: other}}"""
    service.save(listener(several))
    service.save(flow("up"))
    service.save(flow("other"))
    service.run("up")
    assert service.executions("down") == []
    service.run("other")
    assert len(service.executions("down")) == 1


def test_what_was_asked_for_before_a_crash_is_started_after_it_and_only_once(
    service: Service,
) -> None:
    service.save(listener(f"conditions: [{OF_UP}]"))
    service.save(flow("up"))
    service.run("up")
    with service.database.read() as connection:
        assert flow_fires.pending(connection, 10) == []
    [fired] = service.executions("down")
    again = flow_fires.FlowFire(
        namespace="team",
        flow_id="down",
        trigger_id="after",
        upstream_id="left",
        place=3,
        execution_id=service.executor.new_id(),
        created_at=service.clock.now(),
        start={"inputs": None, "labels": {}, "variables": {"state": "SUCCESS"}},
    )
    with service.database.begin() as tx:
        assert flow_fires.add(tx.connection, again)
        assert not flow_fires.add(tx.connection, again)
    service.start()
    service.tick()
    ids = [one.id for one in service.executions("down")]
    assert ids == [fired.id, again.execution_id]
    service.start()
    service.tick()
    assert len(service.executions("down")) == 2


def test_old_fires_and_windows_are_forgotten(service: Service) -> None:
    service.save(listener(BOTH))
    service.save(listener(f"conditions: [{OF_UP}]", flow_id="simple"))
    service.save(flow("up"))
    service.run("up")
    service.tick(at("12:00") + timedelta(days=3))
    with service.database.read() as connection:
        for table in ("flow_fires", "trigger_windows"):
            count = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()
            assert count == 0, table


def test_a_flow_that_is_deleted_listens_no_more(service: Service) -> None:
    service.save(listener(f"conditions: [{OF_UP}]"))
    service.save(flow("up"))
    service.change(service.scheduler.flow_deleted, "team", "down")
    service.run("up")
    assert service.executions("down") == []


def test_a_condition_sees_the_id_and_the_type_of_its_trigger(service: Service) -> None:
    about = "{{ trigger.id == 'after' and trigger.type contains 'Flow' and flow.id == 'down' }}"
    condition = "type: io.kestra.plugin.core.condition.Expression"
    service.save(listener(f'conditions: [{OF_UP}, {{{condition}, expression: "{about}"}}]'))
    service.save(flow("up"))
    service.run("up")
    assert len(service.executions("down")) == 1


def test_an_execution_that_is_restarted_and_ends_again_fires_again_and_once(
    service: Service,
) -> None:
    service.save(listener(f"conditions: [{OF_UP}]\n    states: [SUCCESS, FAILED]"))
    service.save(flow("up", FAIL))
    upstream = service.run("up")
    assert upstream.state is State.FAILED
    assert len(service.executions("down")) == 1
    service.executor.tell_when(upstream.id, lambda _live, at: (e.RestartRequested(at=at),))
    service.settle()
    service.tick()
    fired = [one.trigger.variables["state"] for one in service.executions("down") if one.trigger]
    assert fired == ["FAILED", "FAILED"]


@pytest.mark.parametrize(
    ("window", "between", "fires"),
    [
        ("{type: DURATION_WINDOW, window: PT1H}", timedelta(minutes=59), True),
        ("{type: DURATION_WINDOW, window: PT1H}", timedelta(minutes=61), False),
        ("{type: SLIDING_WINDOW, window: PT30M}", timedelta(minutes=29), True),
        ("{type: SLIDING_WINDOW, window: PT30M}", timedelta(minutes=31), False),
        ("{type: DAILY_TIME_DEADLINE, deadline: '12:30:00'}", timedelta(minutes=20), True),
        ("{type: DAILY_TIME_DEADLINE, deadline: '12:30:00'}", timedelta(minutes=40), False),
        (
            "{type: DAILY_TIME_WINDOW, startTime: '11:00:00', endTime: '13:00:00'}",
            timedelta(minutes=50),
            True,
        ),
        (
            "{type: DAILY_TIME_WINDOW, startTime: '11:00:00', endTime: '13:00:00'}",
            timedelta(days=1),
            False,
        ),
    ],
)
def test_each_window_counts_what_falls_into_it(
    service: Service, window: str, between: timedelta, fires: bool
) -> None:
    service.save(listener(BOTH.replace("id: both", f"id: both\n      timeWindow: {window}")))
    service.save(flow("up"))
    service.save(flow("other"))
    service.run("up")
    service.clock.forward(seconds=between.total_seconds())
    service.run("other")
    assert len(service.executions("down")) == (1 if fires else 0)
