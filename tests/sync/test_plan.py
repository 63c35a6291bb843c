from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_server.sync.plan import (
    SAVED,
    Action,
    Base,
    Desired,
    Key,
    Live,
    Options,
    SyncPlan,
    plan,
)

MINE = Options(source="main")
A = ("team", "a")


def wanted(flow_id: str = "a", text: str = "1", path: str | None = None) -> Desired:
    return Desired(namespace="team", id=flow_id, path=path or f"{flow_id}.yml", digest=text)


def stored(
    flow_id: str = "a", text: str = "1", owner: str | None = "main", namespace: str = "team"
) -> Live:
    return Live(namespace=namespace, id=flow_id, revision=1, digest=text, managed_by=owner)


def actions(found: SyncPlan) -> dict[Key, str]:
    return {item.key: item.action.value for item in found.items}


@pytest.mark.parametrize(
    ("desired", "live", "options", "expected"),
    [
        pytest.param([wanted()], [], MINE, "ADDED", id="new"),
        pytest.param([wanted()], [stored()], MINE, "UNCHANGED", id="same"),
        pytest.param([wanted(text="2")], [stored()], MINE, "UPDATED", id="changed"),
        pytest.param([wanted()], [stored(owner=None)], MINE, "ADOPTED", id="nobody's"),
        pytest.param([wanted()], [stored(owner="other")], MINE, "CONFLICT", id="another's"),
        pytest.param(
            [wanted()],
            [stored(owner=None)],
            Options(source="main", adopt=False),
            "CONFLICT",
            id="nobody's, not adopted",
        ),
        pytest.param([], [stored()], Options(source="main", prune=False), "KEPT", id="no prune"),
        pytest.param([], [stored()], MINE, "PRUNED", id="gone"),
        pytest.param(
            [], [stored()], Options(source="main", protected=["team"]), "PROTECTED", id="protected"
        ),
        pytest.param(
            [],
            [stored()],
            Options(source="main", invalid=frozenset({"a.yml"})),
            "KEPT_INVALID",
            id="its file is broken",
        ),
        pytest.param(
            [],
            [stored()],
            Options(source="main", invalid=frozenset({"b.yml"})),
            "PRUNED",
            id="another file is broken",
        ),
    ],
)
def test_plan(desired: list[Desired], live: list[Live], options: Options, expected: str) -> None:
    base = {A: Base(path="a.yml", digest="1")}
    assert actions(plan(desired, live, base, options)) == {A: expected}


def test_a_broken_file_protects_flows_whose_file_is_unknown() -> None:
    options = Options(source="main", invalid=frozenset({"b.yml"}))
    assert actions(plan([], [stored()], {}, options)) == {A: "KEPT_INVALID"}


def test_an_edited_flow_is_marked_as_drifted() -> None:
    [item] = plan([wanted()], [stored(text="ui")], {A: Base(path="a", digest="1")}, MINE).items
    assert (item.action, item.drifted) == (Action.UPDATED, True)


def test_a_conflict_names_the_other_source() -> None:
    [fault] = plan([wanted()], [stored(owner="other")], {}, MINE).faults
    assert fault.code == "OWNED_BY_OTHER"
    assert "'other'" in fault.message


def test_a_flow_in_two_files_names_both() -> None:
    [fault] = plan([wanted(path="x.yml"), wanted(path="y.yml")], [], {}, MINE).faults
    assert (fault.code, fault.path) == ("DUPLICATE_FLOW", "y.yml")
    assert "x.yml" in fault.message


def test_more_than_half_is_pruned_only_when_confirmed() -> None:
    live = [stored(f"f{number}") for number in range(20)]
    keep = [wanted(f"f{number}") for number in range(9)]
    refused = plan(keep, live, {}, MINE)
    assert not refused.applicable
    assert "11 of 20" in refused.refusals[0]
    confirmed = Options(source="main", confirmed=refused.digest)
    assert plan(keep, live, {}, confirmed).applicable
    changed = plan([*keep, wanted("new")], live, {}, confirmed)
    assert not changed.applicable


def test_another_configuration_does_not_prune_by_itself() -> None:
    options = Options(source="main", reconfigured=True)
    assert not plan([wanted("b")], [stored(), stored("b")], {}, options).applicable
    assert plan([wanted(), wanted("b")], [stored(), stored("b")], {}, options).applicable


def test_a_flow_that_went_to_another_namespace_is_shown_as_moved() -> None:
    found = plan([wanted("a")], [stored("a", namespace="old"), stored("b")], {}, MINE)
    [gone] = [item for item in found.of(Action.PRUNED) if item.namespace == "old"]
    assert gone.moved_to == A


KEYS = st.sampled_from(["a", "b", "c", "d", "/x", "/lib/y"])  # flows, and files of a namespace
TEXTS = st.sampled_from(["1", "2"])
OWNERS = st.sampled_from(["main", "other", None])


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, TEXTS), st.dictionaries(KEYS, st.tuples(TEXTS, OWNERS)))
def test_applying_a_plan_gives_the_commit_and_touches_nothing_else(
    commit: dict[str, str], before: dict[str, tuple[str, str | None]]
) -> None:
    desired = [wanted(name, text) for name, text in commit.items()]
    live = [stored(name, text, owner) for name, (text, owner) in before.items()]
    options = Options(source="main", allow_empty=True, percent=100)
    found = plan(desired, live, {}, options)
    conflicts = {item.id for item in found.of(Action.CONFLICT)}
    assert conflicts == {name for name in commit if before.get(name, ("", "x"))[1] == "other"}
    if not found.applicable:
        return

    after = dict(before)
    for item in found.items:
        if item.action in SAVED:
            after[item.id] = (commit[item.id], "main")
        elif item.action is Action.PRUNED:
            del after[item.id]
    assert {name: text for name, (text, owner) in after.items() if owner == "main"} == commit
    untouched = {name: value for name, value in before.items() if value[1] != "main"}
    assert all(after[name] == value for name, value in untouched.items() if name not in commit)
    again = plan(
        desired, [stored(name, text, owner) for name, (text, owner) in after.items()], {}, options
    )
    assert again.changes == ()
