"""The tasks that only compute: log, debug, output, execution, kv."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.tasks.context import NOON, REGISTRY, Context, run

from penstock_runner.engine.state import State
from penstock_runner.expressions.errors import KeyExpired
from penstock_runner.tasks.api import Cancelled, TaskFailed


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return Context(tmp_path, inputs={"who": "Ada", "count": 3, "map": {"a": [1]}}, vars={"old": 1})


def test_log_writes_a_line_for_each_text(ctx: Context) -> None:
    run(ctx, "log.Log", message="Hello {{ inputs.who }}")
    run(ctx, "log.Log", message=["one", "{{ inputs.count }}"], level="WARN")
    assert ctx.lines == [("INFO", "Hello Ada"), ("WARN", "one"), ("WARN", "3")]


def test_log_refuses_a_map(ctx: Context) -> None:
    with pytest.raises(TaskFailed, match="Invalid message type 'dict'"):
        run(ctx, "log.Log", message={"a": 1})


def test_return_gives_its_text_and_logs_it(ctx: Context) -> None:
    assert run(ctx, "debug.Return", format="{{ inputs.who }}!") == {"value": "Ada!"}
    assert ctx.lines == [("DEBUG", "Ada!")]
    assert ctx.metrics["length"] == 4
    assert run(ctx, "debug.Return") == {"value": None}


def test_a_number_for_a_text_is_its_text(ctx: Context) -> None:
    assert run(ctx, "debug.Return", format=3) == {"value": "3"}


def test_output_values_are_rendered_through(ctx: Context) -> None:
    values = {"who": "{{ inputs.who }}", "list": ["{{ inputs.count }}", 1]}
    assert run(ctx, "output.OutputValues", values=values) == {
        "values": {"who": "Ada", "list": ["3", 1]}
    }


def test_a_property_that_the_type_lacks_is_left_out(ctx: Context) -> None:
    assert run(ctx, "debug.Return", format="a", projectId="from a default") == {"value": "a"}


def test_a_missing_property_is_named(ctx: Context) -> None:
    with pytest.raises(TaskFailed, match="`message` is required"):
        run(ctx, "log.Log")


def test_a_failing_expression_names_its_property(ctx: Context) -> None:
    with pytest.raises(TaskFailed, match="format: Unable to find `nothing`"):
        run(ctx, "debug.Return", format="{{ nothing }}")


@pytest.mark.parametrize(
    "labels",
    [
        {"a": "{{ inputs.who }}", "b": 1},
        [{"key": "a", "value": "Ada"}, {"key": "b", "value": "1"}],
        '{"a": "Ada", "b": 1}',
    ],
)
def test_labels_come_in_three_forms(ctx: Context, labels: object) -> None:
    run(ctx, "execution.Labels", labels=labels)
    assert ctx.labels == {"a": "Ada", "b": "1"}


def test_system_labels_are_refused(ctx: Context) -> None:
    with pytest.raises(TaskFailed, match=r"offending label: system\.x=1"):
        run(ctx, "execution.Labels", labels={"system.x": "1"})
    with pytest.raises(TaskFailed, match="Unknown value type: int"):
        run(ctx, "execution.Labels", labels=3)


def test_fail_fails_always_or_on_a_condition(ctx: Context) -> None:
    with pytest.raises(TaskFailed, match=r"^Task failure$"):
        run(ctx, "execution.Fail")
    assert run(ctx, "execution.Fail", condition="0") == {}
    with pytest.raises(TaskFailed, match=r"^Fail on a condition$"):
        run(ctx, "execution.Fail", condition="{{ inputs.who }}", errorMessage="no {{inputs.who}}")
    assert ctx.lines == [("ERROR", "no Ada")]


def test_assert_names_the_conditions_that_do_not_hold(ctx: Context) -> None:
    assert run(ctx, "execution.Assert", conditions=["{{ inputs.who }}"]) == {}
    with pytest.raises(TaskFailed, match=r"1 assertion\(s\) failed!\nsee above"):
        run(ctx, "execution.Assert", conditions=["true", "false"], errorMessage="see above")
    assert ctx.lines == [("ERROR", "Assertion `false` failed!")]
    assert (ctx.metrics["success"], ctx.metrics["failed"]) == (1, 1)


def test_exit_asks_for_a_state(ctx: Context) -> None:
    run(ctx, "execution.Exit", state="CANCELED")
    assert ctx.ended is State.CANCELLED


def test_sleep_waits_and_can_be_cancelled(ctx: Context) -> None:
    sleep = "io.kestra.plugin.core.flow.Sleep"
    assert run(ctx, sleep, duration="PT0.001S") == {}
    assert ctx.lines == [("INFO", "Waiting for PT0.001S")]
    task: Any = REGISTRY.load(sleep).model_validate({"duration": 60})
    assert (task.timer, task.delay()) == (True, timedelta(seconds=60))
    with pytest.raises(ValidationError, match="duration"):
        REGISTRY.load(sleep).model_validate({"duration": "P3000000D"})
    ctx.stopped_at_once = True
    with pytest.raises(Cancelled):
        task.run(ctx)


def test_variables_are_set_and_unset(ctx: Context) -> None:
    run(ctx, "execution.SetVariables", variables={"new": "{{ inputs.who }}", "old": 2})
    assert ctx.changed == {"new": "Ada", "old": 2}
    with pytest.raises(TaskFailed, match="variable 'old'"):
        run(ctx, "execution.SetVariables", variables={"old": 2}, overwrite=False)
    run(ctx, "execution.UnsetVariables", variables=["old"])
    assert ctx.changed["old"] is None
    with pytest.raises(TaskFailed, match="variable 'gone'"):
        run(ctx, "execution.UnsetVariables", variables=["gone"])
    run(ctx, "execution.UnsetVariables", variables=["gone"], ignoreMissing=True)


def test_count_keeps_the_counts_that_its_expression_wants(ctx: Context) -> None:
    counted = [{"namespace": "a", "flowId": f"f{n}", "count": n} for n in (1, 2)]
    ctx.answers["executions.count"] = counted
    flows = [{"namespace": "a", "flowId": "f1"}, {"namespace": "a", "flowId": "f2"}]
    asked = {"startDate": "2026-01-01T00:00:00Z", "expression": "{{ count % 2 == 0 }}"}
    outputs = run(ctx, "execution.Count", flows=flows, **asked)
    assert outputs == {"results": [counted[1]], "total": 2}
    assert ctx.calls[0][1]["flows"] == flows
    with pytest.raises(TaskFailed, match="You must provide a list of flows or namespaces"):
        run(ctx, "execution.Count", **asked)


def test_purges_and_resume_are_the_servers(ctx: Context) -> None:
    ctx.answers |= {
        "executions.purge": {"executionsCount": 2},
        "executions.resume": None,
        "logs.purge": 5,
    }
    purged = run(ctx, "execution.PurgeExecutions", endDate="2026-01-01T00:00:00Z")
    assert purged == {
        "executionsCount": 2, "logsCount": 0, "metricsCount": 0, "storagesCount": 0,
    }  # fmt: skip
    assert run(ctx, "log.PurgeLogs", endDate="2026-01-01T00:00:00Z") == {"count": 5}
    run(ctx, "execution.Resume")
    assert ctx.calls[-1][1]["execution_id"] == "x1"
    with pytest.raises(TaskFailed, match="must be left out"):
        run(ctx, "execution.Resume", namespace="a")


def test_fetched_log_lines_are_stored_as_items(ctx: Context) -> None:
    ctx.answers["logs.fetch"] = [{"message": "a"}, {"message": "b"}]
    outputs = run(ctx, "log.Fetch", level="WARN")
    assert outputs["size"] == 2
    assert ctx.storage.read_bytes(outputs["uri"]) == b'{"message":"a"}\n{"message":"b"}\n'


def test_a_value_is_written_typed_and_read_back(ctx: Context) -> None:
    run(ctx, "kv.Set", key="k", value="{{ inputs.map }}")
    assert run(ctx, "kv.Get", key="k") == {"value": {"a": [1]}}
    assert run(ctx, "kv.GetKeys", prefix="k") == {"keys": ["k"]}
    assert run(ctx, "kv.Delete", key="k") == {"deleted": True}
    assert run(ctx, "kv.Delete", key="k") == {"deleted": False}
    assert run(ctx, "kv.Get", key="k") == {"value": None}


def test_nothing_is_a_value_too(ctx: Context) -> None:
    ctx.variables["none"] = None
    run(ctx, "kv.Set", key="k", value="{{ none }}")
    assert ctx.kv().entries["k"].value is None
    with pytest.raises(TaskFailed, match="`value` is required"):
        run(ctx, "kv.Set", key="k")


def test_a_value_ends_with_its_time(ctx: Context) -> None:
    run(ctx, "kv.Set", key="k", value="v", ttl="PT5M")
    assert ctx.kv().entries["k"].expires == NOON + timedelta(minutes=5)
    ctx.moment = NOON + timedelta(minutes=5)
    with pytest.raises(KeyExpired, match="The requested value has expired"):
        run(ctx, "kv.Get", key="k")


def test_a_value_is_not_overwritten_against_the_authors_will(ctx: Context) -> None:
    run(ctx, "kv.Set", key="k", value="v")
    with pytest.raises(TaskFailed, match="Key already exists and `overwrite` is set to `false`"):
        run(ctx, "kv.Set", key="k", value="w", overwrite=False)


def test_a_purge_of_keys_is_the_servers_to_do(ctx: Context) -> None:
    ctx.answers["kv.purge"] = 3
    assert run(ctx, "kv.PurgeKV", namespaces=["company"], keyPattern="AI_*") == {"size": 3}
    [(_, said)] = [call for call in ctx.calls if call[0] == "kv.purge"]
    assert said["purge"]["expired_only"] is True
    run(ctx, "kv.PurgeKV", behavior={"type": "key", "expiredOnly": False})
    assert ctx.calls[-1][1]["purge"]["expired_only"] is False
    with pytest.raises(TaskFailed, match="can't be used at the same time"):
        run(ctx, "kv.PurgeKV", namespaces=["company"], namespacePattern="c*")


def test_there_are_no_older_versions_to_purge(ctx: Context) -> None:
    old = {"type": "version", "before": "2025-01-01T00:00:00Z"}
    assert run(ctx, "kv.PurgeKV", behavior=old) == {"size": 0}
    assert run(ctx, "namespace.PurgeFiles", namespaces=["company"], behavior=old) == {"size": 0}


def test_a_missing_key_is_an_error_when_asked(ctx: Context) -> None:
    expected = "No value found for key 'k' in namespace 'company.team' and `errorOnMissing`"
    for kind in ("kv.Get", "kv.Delete"):
        with pytest.raises(TaskFailed, match=expected):
            run(ctx, kind, key="k", errorOnMissing="true")
    with pytest.raises(TaskFailed, match="Key must start with"):
        run(ctx, "kv.Get", key="a/b")
