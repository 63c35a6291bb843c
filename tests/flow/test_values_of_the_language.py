from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_runner.flow import durations
from penstock_runner.flow.cycles import in_circles
from penstock_runner.flow.defaults import Default, apply_defaults
from penstock_runner.flow.labels import of_execution, offending, read_labels
from penstock_runner.flow.model import PluginDefault, Retry
from penstock_runner.flow.suggestions import nearest
from penstock_runner.flow.types import canonical, replaced_by


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("PT30S", 30),
        ("PT1H30M", 5400),
        ("P1DT1S", 86401),
        ("P2W", 1209600),
        ("PT0.5S", 0.5),
        ("-PT5M", -300),
        ("PT-5M", -300),
        ("PT1H-5M", 3300),
        ("pt5m", 300),
        ("3600", 3600),
        (60, 60),
        (1.5, 1.5),
    ],
)
def test_a_duration_is_read(written: object, seconds: float) -> None:
    assert durations.parse(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written",
    [
        "PT",
        "P",
        "",
        "5m",
        "P1H",
        "PTS",
        True,
        None,
        [1],
        "P99999999999999D",
        "nan",
        "P365001D",
        1e11,
    ],
)
def test_what_is_no_duration_is_refused(written: object) -> None:
    with pytest.raises(durations.BadDuration):
        durations.parse(written)


@given(st.timedeltas(min_value=timedelta(days=-9999), max_value=timedelta(days=9999)))
def test_a_written_duration_reads_back(value: timedelta) -> None:
    assert durations.parse(durations.to_iso(value)) == value


def retry(type_: Any, **more: Any) -> Retry:
    return Retry(type=type_, **more)


SECOND = timedelta(seconds=1)


def test_labels_are_read_from_both_spellings() -> None:
    assert read_labels({"a": 1, "b": True, "c": "x"}) == ({"a": "1", "b": "true", "c": "x"}, [])
    listed = [{"key": "a", "value": 1}, {"key": "a", "value": 2}]
    assert read_labels(listed) == ({"a": "1"}, [])
    _, (bad,) = read_labels({"k": None})
    assert bad.message == "Unsupported type for key: k, value: null"


def test_labels_of_an_execution_come_from_flow_trigger_and_request() -> None:
    flow = {"a": "flow", "b": "flow", "system.readOnly": "true"}
    found = of_execution(flow, {"a": "given"}, "x1", trigger={"b": "trigger"})
    assert found == {"a": "given", "b": "trigger", "system.correlationId": "x1"}
    kept = of_execution({}, {"system.correlationId": "root"}, "x1")
    assert kept == {"system.correlationId": "root"}
    assert offending({"system.a": "1", "b": "2"}, ("system.b",)) == [
        "System labels can only be set by Kestra itself, offending label: system.a=1"
    ]


def defaulted(
    task: dict[str, object], *defaults: Default, everywhere: tuple[Default, ...] = ()
) -> Any:
    data = {"id": "f", "tasks": [task]}
    found = apply_defaults(data, defaults, everywhere)
    tasks = found["tasks"]
    assert isinstance(tasks, list)
    return tasks[0]


def default(type_: str, *, forced: bool = False, **values: object) -> Default:
    return Default(type=type_, values=values, forced=forced)


def test_own_values_win_and_the_first_default_wins_among_defaults() -> None:
    found = defaulted(
        {"type": "a.B", "own": 1, "none": None, "map": {"x": 1}, "list": [1]},
        default("a.B", own=2, none=2, map={"x": 2, "y": 2}, list=[2], more=2),
        default("a.", more=3, list=[3]),
    )
    assert found == {
        "type": "a.B",
        "own": 1,
        "none": 2,
        "map": {"x": 1, "y": 2},
        "list": [3, 2, 1],
        "more": 2,
    }


def test_forced_defaults_override_and_the_flows_win_over_global_ones() -> None:
    found = defaulted(
        {"type": "a.B", "x": 0, "list": [0]},
        default("a", forced=True, x=1, list=[1]),
        everywhere=(default("a", forced=True, x=2, y=2), default("a", x=3, z=3)),
    )
    assert found == {"type": "a.B", "x": 1, "y": 2, "z": 3, "list": [0, 1]}


def test_defaults_reach_any_depth_and_count_for_new_names_of_old_types() -> None:
    old, new = "io.kestra.core.tasks.log.Log", "io.kestra.plugin.core.log.Log"
    found = defaulted({"type": "x", "child": {"deep": [{"type": new}]}}, default(old, level="WARN"))
    assert found["child"]["deep"][0] == {"type": new, "level": "WARN"}


def test_defaults_are_taken_in_any_of_their_forms() -> None:
    written = {"type": "a", "values": {"x": 1}}
    value = PluginDefault(type="a", values={"x": 1})
    for form in (written, value, default("a", x=1)):
        found = apply_defaults({"tasks": [{"type": "a.B"}]}, [form])
        assert found["tasks"] == [{"type": "a.B", "x": 1}]
    assert apply_defaults({"tasks": []}, [{"type": "a"}]) == {"tasks": []}


def test_data_without_defaults_is_returned_as_it_is() -> None:
    data: dict[str, object] = {"tasks": []}
    assert apply_defaults(data, ()) is data


@pytest.mark.parametrize(
    ("old", "present"),
    [
        ("io.kestra.core.tasks.flows.Worker", "io.kestra.plugin.core.flow.WorkingDirectory"),
        ("io.kestra.core.tasks.scripts.Bash", "io.kestra.plugin.scripts.shell.Commands"),
        (
            "io.kestra.plugin.notifications.slack.SlackExecution",
            "io.kestra.plugin.slack.SlackExecution",
        ),
        ("io.kestra.plugin.notifications.mail.MailSend", "io.kestra.plugin.email.MailSend"),
        ("io.kestra.plugin.serdes.csv.CsvWriter", "io.kestra.plugin.serdes.csv.IonToCsv"),
        (
            "io.kestra.plugin.core.condition.ExpressionCondition",
            "io.kestra.plugin.core.condition.Expression",
        ),
        ("io.kestra.plugin.core.log.Log", "io.kestra.plugin.core.log.Log"),
    ],
)
def test_old_names_lead_to_present_ones(old: str, present: str) -> None:
    assert canonical(old) == present
    assert canonical(present) == present
    assert replaced_by(old) == (None if old == present else present)


def test_a_misspelt_word_finds_the_one_that_was_meant() -> None:
    assert nearest("tusks", ["tasks", "triggers"]) == "tasks"
    assert nearest("desciption", ["description", "id"]) == "description"
    assert nearest("taksRunner", ["taskRunner"]) == "taskRunner"
    assert nearest("colour", ["tasks"]) is None
    assert nearest("input", ["i2p4t"]) is None
    assert nearest("inputs", ["i2p4ts"]) == "i2p4ts"


def test_circles_are_found_wherever_they_are() -> None:
    needs = {"a": ["b"], "b": ["c"], "c": ["b"], "d": ["d"], "e": ["a"], "f": ["none"]}
    assert in_circles(needs) == ["b", "c", "d"]


@given(
    st.dictionaries(
        st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefg"), max_size=3), max_size=6
    )
)
def test_circles_are_those_that_reach_themselves(needs: dict[str, list[str]]) -> None:
    def reaches(start: str) -> bool:
        seen: set[str] = set()
        waiting = list(needs[start])
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting.extend(needs.get(name, ()))
        return start in seen

    assert in_circles(needs) == [name for name in needs if reaches(name)]
