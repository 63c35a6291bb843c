"""Kestra's Git tasks that bring a namespace to what a repository has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.sync.tasking import Tasking, tasking
from tests.sync.world import FLOW, flow

from penstock_runner.flow.parse import parse_documents
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.places import namespace_file
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.validation import all_faults
from penstock_server.store import flows
from penstock_server.sync.folding import MANY

TARGET: dict[str, Any] = {"target_namespace": "prod"}
BROKEN = "id: broken\nnamespace: team\ntasks: 3\n"


def at(namespace: str, flow_id: str, more: str = "") -> str:
    return flow(flow_id, more).replace("namespace: team", f"namespace: {namespace}")


@pytest.fixture
def tasks(tmp_path: Path) -> Iterator[Tasking]:
    with tasking(tmp_path) as made:
        yield made


def stored(tasks: Tasking) -> dict[str, int]:
    """Full name -> revision of the flows that are there."""
    with tasks.world.database.read() as connection:
        return {f"{one.namespace}.{one.id}": one.revision for one in flows.list_heads(connection)}


def save(tasks: Tasking, namespace: str, flow_id: str, owner: str | None = None) -> None:
    commit = flows.Commit(source_id=owner, sha="0" * 40) if owner else None
    one = flows.Save(
        namespace=namespace, id=flow_id, source=at(namespace, flow_id), commit=commit, via="api"
    )
    with tasks.world.database.begin() as tx:
        flows.save_revision(tx.connection, one, now=tasks.world.clock.now())


def states(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f"{row['syncState']} {row['namespace']}.{row['flowId']} {row['revision']}" for row in rows
    ]


def test_flows_of_a_folder_get_the_target_namespace(tasks: Tasking) -> None:
    sha = tasks.repository.commit(
        {"_flows/a.yml": flow("a"), "_flows/b.yaml": flow("b"), "c.yml": flow("c")}
    )
    rows = tasks.diff("SyncFlows", **TARGET)
    assert rows[0] == {
        "gitPath": "_flows/a.yml",
        "syncState": "ADDED",
        "flowId": "a",
        "namespace": "prod",
        "revision": 1,
    }
    assert stored(tasks) == {"prod.a": 1, "prod.b": 1}
    with tasks.world.database.read() as connection:
        found = flows.revision(connection, "prod", "a")
        head = flows.head(connection, "prod", "a")
    assert found is not None
    assert found.commit is not None
    assert head is not None
    assert (found.commit.sha, found.via, head.managed_by) == (sha, "task", None)
    assert found.source == at("prod", "a")


def test_a_second_run_changes_what_git_has_changed(tasks: Tasking) -> None:
    tasks.repository.commit({"_flows/a.yml": flow("a"), "_flows/b.yml": flow("b")})
    tasks.run("SyncFlows", **TARGET)
    tasks.repository.commit({"_flows/b.yml": flow("b", "description: new\n")})
    rows = tasks.diff("SyncFlows", **TARGET)
    assert states(rows) == ["UNCHANGED prod.a 1", "UPDATED prod.b 2"]
    assert stored(tasks) == {"prod.a": 1, "prod.b": 2}


def test_folders_are_child_namespaces_only_when_that_is_asked_for(tasks: Tasking) -> None:
    tasks.repository.commit({"_flows/a.yml": flow("a"), "_flows/sub/b.yml": flow("b")})
    tasks.run("SyncFlows", **TARGET)
    assert stored(tasks) == {"prod.a": 1}
    tasks.run("SyncFlows", **TARGET, include_child_namespaces=True)
    assert stored(tasks) == {"prod.a": 1, "prod.sub.b": 1}


def test_a_dry_run_tells_the_next_revision_and_writes_nothing(tasks: Tasking) -> None:
    save(tasks, "prod", "a")
    save(tasks, "prod", "gone")
    tasks.repository.commit({"_flows/a.yml": flow("a", "description: x\n")})
    rows = tasks.diff("SyncFlows", **TARGET, dry_run=True, delete=True)
    assert states(rows) == ["DELETED prod.gone 2", "UPDATED prod.a 2"]
    assert stored(tasks) == {"prod.a": 1, "prod.gone": 1}


def test_deleting_spares_sources_other_namespaces_and_the_flow_that_runs(tasks: Tasking) -> None:
    for namespace, flow_id in (
        ("company.team", "my-flow"),
        ("company.team", "old"),
        ("company.team.child", "kept"),
        ("company", "kept"),
    ):
        save(tasks, namespace, flow_id)
    save(tasks, "company.team", "managed", owner="main")
    tasks.repository.commit({"_flows/a.yml": flow("a")})
    tasks.run("SyncFlows", target_namespace="company.team", delete=True)
    assert sorted(stored(tasks)) == [
        "company.kept",
        "company.team.a",
        "company.team.child.kept",
        "company.team.managed",
        "company.team.my-flow",
    ]
    tasks.run(
        "SyncFlows", target_namespace="company.team", delete=True, include_child_namespaces=True
    )
    assert "company.team.child.kept" not in stored(tasks)


def test_nothing_is_deleted_without_being_asked(tasks: Tasking) -> None:
    save(tasks, "prod", "old")
    tasks.repository.commit({"_flows/a.yml": flow("a")})
    assert states(tasks.diff("SyncFlows", **TARGET)) == ["ADDED prod.a 1"]
    assert stored(tasks) == {"prod.a": 1, "prod.old": 1}


def test_a_folder_without_flows_deletes_nothing(tasks: Tasking) -> None:
    save(tasks, "prod", "old")
    tasks.repository.commit({"_flows/README.md": "none yet"})
    with pytest.raises(TaskFailed, match="no flow"):
        tasks.run("SyncFlows", **TARGET, delete=True)
    assert stored(tasks) == {"prod.old": 1}


def test_a_missing_folder_is_refused_and_with_delete_always(tasks: Tasking) -> None:
    save(tasks, "prod", "old")
    tasks.repository.commit({"a.yml": flow("a")})
    with pytest.raises(TaskFailed, match="GIT_PATH_NOT_FOUND"):
        tasks.run("SyncFlows", **TARGET)
    assert tasks.diff("SyncFlows", **TARGET, fail_on_missing_directory=False) == []
    with pytest.raises(TaskFailed, match="GIT_PATH_NOT_FOUND"):
        tasks.run("SyncFlows", **TARGET, fail_on_missing_directory=False, delete=True)
    assert stored(tasks) == {"prod.old": 1}


def test_a_missing_branch_is_an_error_and_never_another_branch(tasks: Tasking) -> None:
    tasks.repository.commit({"_flows/a.yml": flow("a")})
    with pytest.raises(TaskFailed, match="GIT_REF_NOT_FOUND"):
        tasks.run("SyncFlows", **TARGET, branch="nowhere")
    assert stored(tasks) == {}


def test_one_broken_flow_keeps_all_away_unless_it_is_to_be_ignored(tasks: Tasking) -> None:
    tasks.repository.commit({"_flows/a.yml": flow("a"), "_flows/broken.yml": BROKEN})
    with pytest.raises(TaskFailed, match=r"_flows/broken\.yml:3:8"):
        tasks.run("SyncFlows", **TARGET)
    assert stored(tasks) == {}
    rows = tasks.diff("SyncFlows", **TARGET, ignore_invalid_flows=True)
    assert states(rows) == ["ADDED prod.a 1"]
    assert any("_flows/broken.yml" in line for level, line in tasks.lines if level == "WARN")


def test_a_broken_file_never_deletes_its_flow_whatever_is_ignored(tasks: Tasking) -> None:
    save(tasks, "prod", "broken")
    tasks.repository.commit({"_flows/a.yml": flow("a"), "_flows/broken.yml": BROKEN})
    tasks.run("SyncFlows", **TARGET, delete=True, ignore_invalid_flows=True)
    assert stored(tasks) == {"prod.a": 1, "prod.broken": 1}


def test_a_flow_of_a_source_is_not_overwritten(tasks: Tasking) -> None:
    save(tasks, "prod", "a", owner="main")
    tasks.repository.commit({"_flows/a.yml": flow("a", "description: x\n")})
    with pytest.raises(TaskFailed, match="belongs to source 'main'"):
        tasks.run("SyncFlows", **TARGET)


def test_rewriting_touches_the_namespace_at_the_top_only(tasks: Tasking) -> None:
    call = """  - id: call
    type: io.kestra.plugin.core.flow.Subflow
    namespace: team
    flowId: a
"""
    text = FLOW.format(id="b") + call
    tasks.repository.commit({"_flows/a.yml": flow("a"), "_flows/b.yml": text})
    tasks.run("SyncFlows", **TARGET)
    with tasks.world.database.read() as connection:
        found = flows.revision(connection, "prod", "b")
    assert found is not None
    assert found.source == text.replace("namespace: team", "namespace: prod", 1)


def test_files_that_are_no_flows_are_ignored_and_links_not_followed(tasks: Tasking) -> None:
    repository = tasks.repository
    folder = repository.tree(
        (b".gitignore", 0o100644, repository.blob(b"x")),
        (b"a.yml", 0o100644, repository.blob(flow("a").encode())),
        (b"compose.yml", 0o100644, repository.blob(b"services: {}\n")),
        (b"link.yml", 0o120000, repository.blob(b"a.yml")),
    )
    repository.commit_tree(repository.tree((b"_flows", 0o040000, folder)))
    tasks.run("SyncFlows", **TARGET)
    assert stored(tasks) == {"prod.a": 1}


def test_many_flows_travel_in_parts_and_all_arrive(tasks: Tasking) -> None:
    tasks.repository.commit({f"_flows/{n}.yml": flow(f"f{n}") for n in range(MANY + 1)})
    rows = tasks.diff("SyncFlows", **TARGET, delete=True)
    assert len(rows) == len(stored(tasks)) == MANY + 1


def test_one_flow_is_synced_by_its_path(tasks: Tasking) -> None:
    tasks.repository.commit({"deep/er/a.yml": flow("a"), "deep/er/b.yml": flow("b")})
    outputs = tasks.run("SyncFlow", **TARGET, flow_path="deep/er/a.yml")
    assert outputs == {"flowId": "a", "namespace": "prod", "revision": 1}
    assert stored(tasks) == {"prod.a": 1}
    with pytest.raises(TaskFailed, match="no file with one flow"):
        tasks.run("SyncFlow", **TARGET, flow_path="deep/er/c.yml")
    assert tasks.run("SyncFlow", **TARGET, flow_path="deep/er/b.yml", dry_run=True) == {
        "flowId": "b",
        "namespace": "prod",
        "revision": 1,
    }
    assert stored(tasks) == {"prod.a": 1}


def kinds(rows: list[dict[str, Any]]) -> list[str]:
    return [f"{row['syncState']} {row['kestraPath']}" for row in rows]


def test_files_of_a_folder_come_to_the_namespace(tasks: Tasking) -> None:
    tasks.repository.commit({"_files/lib/x.py": "1", "_files/y.txt": "1", "z.txt": "1"})
    rows = tasks.diff("SyncNamespaceFiles", "files")
    assert rows[0] == {
        "gitPath": "_files/lib/x.py",
        "syncState": "ADDED",
        "kestraPath": "/lib/x.py",
    }
    assert tasks.files("company.team") == {"lib/x.py": "1", "y.txt": "1"}
    tasks.repository.commit({"_files/y.txt": "2", "_files/lib/x.py": None})
    rows = tasks.diff("SyncNamespaceFiles", "files", delete=True)
    assert kinds(rows) == ["DELETED /lib/x.py", "UPDATED /y.txt"]
    assert tasks.files("company.team") == {"y.txt": "2"}


def test_files_that_people_have_put_there_are_compared_too(tasks: Tasking) -> None:
    storage = tasks.world.storage
    for name, content in (("same", b"1"), ("other", b"old"), ("mine", b"m")):
        storage.put_bytes(namespace_file("prod", name), content)
    tasks.repository.commit({"_files/same": "1", "_files/other": "new"})
    dry = tasks.diff("SyncNamespaceFiles", "files", namespace="prod", delete=True, dry_run=True)
    assert kinds(dry) == ["DELETED /mine", "UPDATED /other", "UNCHANGED /same"]
    assert tasks.files("prod") == {"same": "1", "other": "old", "mine": "m"}
    tasks.run("SyncNamespaceFiles", namespace="prod")
    assert tasks.files("prod") == {"same": "1", "other": "new", "mine": "m"}
    tasks.run("SyncNamespaceFiles", namespace="prod", delete=True)
    assert tasks.files("prod") == {"same": "1", "other": "new"}


def test_files_go_below_a_directory_and_only_that_is_cleared(tasks: Tasking) -> None:
    tasks.world.storage.put_bytes(namespace_file("prod", "out"), b"o")
    tasks.world.storage.put_bytes(namespace_file("prod", "in/old"), b"o")
    tasks.repository.commit({"src/x": "1"})
    tasks.run(
        "SyncNamespaceFiles",
        namespace="prod",
        git_directory="src",
        namespace_directory="./in/",
        delete=True,
    )
    assert tasks.files("prod") == {"out": "o", "in/x": "1"}


def test_an_empty_folder_of_files_deletes_nothing(tasks: Tasking) -> None:
    tasks.world.storage.put_bytes(namespace_file("prod", "old"), b"o")
    tasks.repository.commit({"_files/.gitkeep": ""})
    with pytest.raises(TaskFailed, match="would be deleted"):
        tasks.run("SyncNamespaceFiles", namespace="prod", delete=True)
    assert tasks.files("prod") == {"old": "o"}


def test_a_file_synced_by_a_task_belongs_to_nobody(tasks: Tasking) -> None:
    tasks.repository.commit({"_files/x": "1"})
    tasks.run("SyncNamespaceFiles", namespace="prod")
    from penstock_runner.jobs.calls import RemoteFiles
    from penstock_runner.tasks.namespace_files import NamespaceStorage

    storage = NamespaceStorage(tasks.world.storage, RemoteFiles(tasks.calling))
    storage.put_bytes(namespace_file("prod", "x"), b"mine")
    assert tasks.files("prod") == {"x": "mine"}


GIT: dict[str, Any] = {"namespace": "prod", "branch": "main", "source_of_truth": "GIT"}


def actions(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(f"{row['action']} {row['kind']} {row['key']}" for row in rows)


def test_a_namespace_is_brought_to_its_folder_flows_and_files_at_once(tasks: Tasking) -> None:
    save(tasks, "prod", "old")
    save(tasks, "prod", "same")
    tasks.world.storage.put_bytes(namespace_file("prod", "gone"), b"x")
    sha = tasks.repository.commit(
        {
            "ks/prod/flows/a.yaml": flow("a"),
            "ks/prod/flows/same.yaml": at("prod", "same"),
            "ks/prod/files/x.sql": "select 1",
            "ks/other/flows/b.yaml": flow("b"),
        }
    )
    outputs = tasks.run("NamespaceSync", **GIT, git_directory="ks")
    assert outputs["commitId"] == sha
    assert outputs["commitURL"].endswith(f"/flows/commit/{sha}")
    assert actions(tasks.rows(outputs["diff"])) == [
        "ADDED FILE prod:x.sql",
        "ADDED FLOW prod:a",
        "DELETED_KES FILE prod:gone",
        "DELETED_KES FLOW prod:old",
    ]
    assert stored(tasks) == {"prod.a": 1, "prod.same": 1}
    assert tasks.files("prod") == {"x.sql": "select 1"}


def test_what_is_missing_in_git_is_kept_or_an_error_as_asked(tasks: Tasking) -> None:
    save(tasks, "prod", "old")
    tasks.repository.commit({"prod/flows/a.yaml": flow("a")})
    with pytest.raises(TaskFailed, match="prod old"):
        tasks.run("NamespaceSync", **GIT, when_missing_in_source="FAIL")
    assert stored(tasks) == {"prod.old": 1}
    tasks.run("NamespaceSync", **GIT, when_missing_in_source="KEEP")
    assert stored(tasks) == {"prod.a": 1, "prod.old": 1}
    tasks.run("NamespaceSync", **GIT, protected_namespaces=["prod"])
    assert stored(tasks) == {"prod.a": 1, "prod.old": 1}


def test_invalid_syntax_fails_or_is_skipped(tasks: Tasking) -> None:
    tasks.repository.commit({"prod/flows/a.yaml": flow("a"), "prod/flows/b.yaml": BROKEN})
    with pytest.raises(TaskFailed, match="1 errors"):
        tasks.run("NamespaceSync", **GIT)
    tasks.run("NamespaceSync", **GIT, on_invalid_syntax="WARN")
    assert stored(tasks) == {"prod.a": 1}


def test_a_task_that_never_comes_back_applies_nothing(tasks: Tasking) -> None:
    tasks.repository.commit({"_flows/a.yml": flow("a")})
    tasks.calling(
        "git.task.start",
        {
            "source": {"url": tasks.url, "ref_kind": "branch", "ref": "main", "path": "_flows"},
            "scope": {"namespace": "prod"},
            "actor": "company.team.my-flow",
        },
    )
    tasks.world.answer()
    tasks.world.service.tick(tasks.world.clock.forward(hours=1))
    assert stored(tasks) == {}


def test_tasks_that_are_not_there_are_known_by_name() -> None:
    tasks = "".join(
        f"  - {{id: {name}, type: io.kestra.plugin.git.{name}, whatever: 1}}\n"
        for name in ("SyncDashboards", "TenantSync", "PushDashboards")
    )
    [parsed] = parse_documents(f"id: a\nnamespace: team\ntasks:\n{tasks}", "a.yml")
    faults = list(all_faults(parsed, Registry()))
    assert [fault.code for fault in faults] == ["TYPE_NOT_AVAILABLE"] * 3


USUAL = """id: usual
namespace: team
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: [acme, acme.sales]
    tasks:
      - id: flows
        type: io.kestra.plugin.git.SyncFlows
        targetNamespace: "{{ taskrun.value }}"
        gitDirectory: "{{ 'flows/' ~ taskrun.value }}"
        includeChildNamespaces: "{{ inputs.children ?? false }}"
      - {id: files, type: io.kestra.plugin.git.SyncNamespaceFiles, namespace: acme, delete: true}
      - {id: push, type: io.kestra.plugin.git.PushFlows, flows: ["load_*", send], dryRun: true}
  - {id: one, type: io.kestra.plugin.git.SyncFlow, targetNamespace: acme, flowPath: flows/a.yml}
  - id: all
    type: io.kestra.plugin.git.NamespaceSync
    namespace: acme
    branch: main
    sourceOfTruth: GIT
    whenMissingInSource: KEEP
    protectedNamespaces: [system]
    onInvalidSyntax: WARN
  - id: work
    type: io.kestra.plugin.core.flow.WorkingDirectory
    tasks:
      - {id: clone, type: io.kestra.plugin.git.Clone, branch: main, depth: 1}
pluginDefaults:
  - type: io.kestra.plugin.git
    values:
      url: https://git.example.org/acme/flows
      username: ana
      password: "{{ secret('GIT_TOKEN') }}"
"""


def test_flows_that_use_git_tasks_in_the_usual_ways_have_no_faults() -> None:
    [parsed] = parse_documents(USUAL, "a.yml")
    told = [fault for fault in all_faults(parsed, Registry()) if fault.severity != "note"]
    assert [fault for fault in told if fault.code != "UNDECLARED_INPUT"] == []
