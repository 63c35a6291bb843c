"""The namespaces that flows get by a mapping, and how their texts say so; through real looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.sync.trees import Looking, looking
from tests.sync.world import flow

REWRITE = {"mode": "rewrite", "target": "prod"}
PREFIX = {"mode": "prefix", "from": "team", "to": "prod.team"}
LOG = "type: io.kestra.plugin.core.log.Log"


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Looking]:
    with looking(tmp_path) as made:
        yield made


def in_namespace(flow_id: str, namespace: str) -> str:
    return flow(flow_id).replace("namespace: team", f"namespace: {namespace}")


def test_by_default_the_file_says_it_wherever_it_lies(source: Looking) -> None:
    source.repository.commit({"deep/er/a.yml": flow("a")})
    assert source.flows() == ["deep/er/a.yml team.a"]


def test_directories_name_the_namespace_and_a_file_may_leave_it_out(source: Looking) -> None:
    source.repository.commit(
        {
            "team/app/a.yml": flow("a").replace("namespace: team\n", ""),
            "team/app/b.yml": in_namespace("b", "acme.team.app"),
            "team/app/c.yml": in_namespace("c", "other"),
        }
    )
    found = source.flows(mapping={"mode": "directory", "prefix": "acme"})
    assert found == ["team/app/a.yml acme.team.app.a", "team/app/b.yml acme.team.app.b"]
    assert source.faults == ["team/app/c.yml:2 NAMESPACE_MISMATCH"]
    assert source.text("a").startswith("namespace: acme.team.app\nid: a\n")


def test_a_fault_keeps_its_line_where_the_namespace_was_put_in(source: Looking) -> None:
    text = flow("a").replace("namespace: team\n", "").replace(".Log", ".Logg")
    source.repository.commit({"team/a.yml": f"# one\n---\n{text}"})
    source.look(mapping={"mode": "directory"})
    assert source.faults == ["team/a.yml:6 UNKNOWN_TASK_TYPE"]


def test_rewriting_puts_all_into_one_namespace_and_folders_below_it(source: Looking) -> None:
    source.repository.commit({"a.yml": flow("a"), "sub/deep/b.yml": flow("b")})
    assert source.flows(mapping=REWRITE) == ["a.yml prod.a", "sub/deep/b.yml prod.sub.deep.b"]


def test_without_children_deeper_files_are_left_alone(source: Looking) -> None:
    source.repository.commit({"a.yml": flow("a"), "sub/b.yml": flow("b"), "sub/x.yml": "id: 1"})
    assert source.flows(mapping={**REWRITE, "children": False}) == ["a.yml prod.a"]
    assert source.faults == ["sub/b.yml:1 FILE_IGNORED", "sub/x.yml:1 NO_FLOW"]


def test_folders_are_namespaces_with_their_dots(source: Looking) -> None:
    source.repository.commit(
        {
            "company.team/flows/a.yml": flow("a"),
            "company.team/flows/deep/b.yml": flow("b"),
            "company.team/dashboards/c.yml": flow("c"),
            "company.team/files/lib/x.yml": "a: 1",
            "d.yml": flow("d"),
        }
    )
    mapping = {"mode": "folders"}
    assert source.flows(mapping=mapping) == [
        "company.team/flows/a.yml company.team.a",
        "company.team/flows/deep/b.yml company.team.b",
    ]
    assert source.files(mapping=mapping, files={"layout": "folders"}) == [
        "company.team/files/lib/x.yml company.team/lib/x.yml"
    ]


def test_a_prefix_is_exchanged_and_others_stay(source: Looking) -> None:
    source.repository.commit(
        {
            "a.yml": flow("a"),
            "b.yml": in_namespace("b", "team.app"),
            "c.yml": in_namespace("c", "teams"),
        }
    )
    found = source.flows(mapping=PREFIX)
    assert found == ["a.yml prod.team.a", "b.yml prod.team.app.b", "c.yml teams.c"]


def test_what_is_outside_the_allowed_namespaces_is_an_error(source: Looking) -> None:
    source.repository.commit({"a.yml": flow("a")})
    assert source.flows(mapping=REWRITE, namespaces=["team", "dev.*"]) == []
    assert source.faults == ["a.yml:2 NAMESPACE_NOT_ALLOWED"]


TASKS = f"tasks:\n  - {{id: t, {LOG}, message: m, namespace: team}}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("namespace: team  # ours", "namespace: prod  # ours"),
        ("namespace: 'team' # é ü", "namespace: 'prod' # é ü"),
        ('"namespace"  :   "team"', '"namespace"  :   "prod"'),
        ("# 😀 first\nnamespace:\n  team", "# 😀 first\nnamespace:\n  prod"),
        ("namespace: >-\n  team", "namespace: prod"),
        ("namespace: &ns team\ndescription: *ns", "namespace: &ns prod\ndescription: *ns"),
        ("description: &ns team\nnamespace: *ns", "description: &ns team\nnamespace: prod"),
        ("description: 'team'\r\nnamespace: team\r", "description: 'team'\r\nnamespace: prod\r"),
        ("\ufeffnamespace: team", "namespace: prod"),
    ],
)
def test_only_the_value_at_the_top_is_exchanged(source: Looking, before: str, after: str) -> None:
    source.repository.commit(
        {"a.yml": f"{before}\nid: a\n{TASKS.replace(', namespace: team', '')}"}
    )
    source.look(mapping=REWRITE)
    assert source.faults == []
    assert source.text("a") == f"{after}\nid: a\n{TASKS.replace(', namespace: team', '')}"


CALLER = """id: caller
namespace: team
tasks:
  - id: sub
    type: io.kestra.plugin.core.flow.Subflow
    namespace: team # kept
    flowId: a
    inputs: {namespace: team, flowId: a}
  - id: each
    type: io.kestra.plugin.core.flow.ForEachItem
    items: kestra:///x
    namespace: 'team'
    flowId: a
  - id: away
    type: io.kestra.plugin.core.flow.Subflow
    namespace: elsewhere
    flowId: a
  - id: built
    type: io.kestra.plugin.core.flow.Subflow
    namespace: "{{ vars.ns }}"
    flowId: a
  - id: files
    type: io.kestra.plugin.scripts.shell.Commands
    namespaceFiles: {enabled: true, namespaces: [team, "elsewhere"]}
    commands: [ls]
triggers:
  - id: after
    type: io.kestra.plugin.core.trigger.Flow
    preconditions:
      id: done
      flows:
        - {namespace: team, flowId: a, states: [SUCCESS]}
  - id: older
    type: io.kestra.plugin.core.trigger.Flow
    conditions:
      - type: io.kestra.plugin.core.condition.ExecutionFlow
        namespace: team
        flowId: a
"""


def test_references_within_the_set_follow_and_others_are_noted(source: Looking) -> None:
    source.repository.commit({"a.yml": flow("a"), "caller.yml": CALLER})
    source.look(mapping=PREFIX)
    text = source.text("caller")
    expected = CALLER.replace("namespace: team\n", "namespace: prod.team\n")
    expected = expected.replace("namespace: team #", "namespace: prod.team #")
    expected = expected.replace("namespace: 'team'", "namespace: 'prod.team'")
    expected = expected.replace("[team,", "[prod.team,")
    expected = expected.replace("- {namespace: team,", "- {namespace: prod.team,")
    assert text == expected
    noted = [one for one in source.faults if "REF_NOT_REWRITTEN" in one]
    lines = [CALLER[: CALLER.index(text)].count("\n") + 1 for text in ("elsewhere", "{{ vars.ns")]
    lines.append(CALLER[: CALLER.index('"elsewhere"')].count("\n") + 1)
    assert noted == [f"caller.yml:{line} REF_NOT_REWRITTEN" for line in lines]


def test_a_reference_to_one_of_several_flows_means_the_one_beside_it(source: Looking) -> None:
    call = CALLER.partition("  - id: each")[0]
    source.repository.commit(
        {"x/a.yml": flow("a"), "y/a.yml": flow("a"), "x/caller.yml": call, "caller.yml": call}
    )
    source.look(mapping=REWRITE)
    texts = {one["path"]: one["items"][0]["text"] for one in source.answer["files"]}
    assert "namespace: prod.x # kept" in texts["x/caller.yml"]
    assert "namespace: team # kept" in texts["caller.yml"]
    assert source.faults == ["caller.yml:6 REF_NOT_REWRITTEN"]


def test_a_flow_that_is_added_makes_unchanged_files_follow_it(source: Looking) -> None:
    call = CALLER.partition("  - id: each")[0]
    source.repository.commit({"caller.yml": call})
    source.look(mapping=REWRITE)
    known = source.known()
    source.repository.commit({"a.yml": flow("a")})
    source.look(known, mapping=REWRITE)
    assert "namespace: prod # kept" in source.text("caller")
