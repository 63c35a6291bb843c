from __future__ import annotations

from penstock_runner.expressions.variables import (
    Ancestor,
    OutputRun,
    labels_map,
    nest_dotted,
    outputs_tree,
    parents_list,
    tasks_tree,
)


def test_outputs_are_found_by_task_and_by_the_values_that_lead_to_it() -> None:
    tree = outputs_tree(
        [
            OutputRun("plain", (), {"v": 1}),
            OutputRun("each", ("a",), {"v": 2}),
            OutputRun("each", ("b",), {"v": 3}),
            OutputRun("deep", ("a", "x"), {"v": 4}),
            OutputRun("deep", ("a", "y"), {"v": None}),
            ("none", (), None),
        ]
    )
    assert tree == {
        "plain": {"v": 1},
        "each": {"a": {"v": 2}, "b": {"v": 3}},
        "deep": {"a": {"x": {"v": 4}, "y": {"v": None}}},
    }


def test_runs_of_one_task_are_merged_and_their_lists_joined() -> None:
    first = {"l": [1], "m": {"a": 1}, "s": "old"}
    tree = outputs_tree(
        [OutputRun("t", (), first), OutputRun("t", (), {"l": [2], "m": {"b": 2}, "s": "new"})]
    )
    assert tree == {"t": {"l": [1, 2], "m": {"a": 1, "b": 2}, "s": "new"}}
    assert first == {"l": [1], "m": {"a": 1}, "s": "old"}


def test_states_of_tasks_have_the_same_shape() -> None:
    tree = tasks_tree([("a", (), "SUCCESS"), ("b", ("v",), "FAILED")])
    assert tree == {"a": {"state": "SUCCESS"}, "b": {"v": {"state": "FAILED"}}}


def test_dotted_ids_become_maps() -> None:
    given = {"a.b": 1, "a.c.d": 2, "e": {"x": 1}, "e.y": 2}
    assert nest_dotted(given) == {"a": {"b": 1, "c": {"d": 2}}, "e": {"x": 1, "y": 2}}
    assert given["e"] == {"x": 1}


def test_system_labels_are_found_under_system() -> None:
    labels = [("team", "a"), ("system.correlationId", "c"), ("system.from", "x")]
    assert labels_map(labels) == {"team": "a", "system": {"correlationId": "c", "from": "x"}}


def test_parents_are_the_ancestors_that_have_a_value_or_outputs() -> None:
    ancestors = [Ancestor("inner", {"o": 1}), Ancestor(), Ancestor("outer"), Ancestor(iteration=2)]
    assert parents_list(ancestors) == [
        {"taskrun": {"value": "inner"}, "outputs": {"o": 1}},
        {"taskrun": {"value": "outer"}},
        {"taskrun": {"iteration": 2}},
    ]
