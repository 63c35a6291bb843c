"""Kestra's Git tasks that commit a namespace to a repository: real pushes over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.git_http import EXECUTABLE, FOLDER
from tests.sync.tasking import Tasking, tasking
from tests.sync.world import flow

from penstock_runner.git.pushing import Author, Push, push
from penstock_runner.git.remote import Rules, remote_of
from penstock_runner.git.trouble import GitTrouble
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.git_access import commit_url
from penstock_runner.tasks.places import namespace_file
from penstock_server.store import flows

OWN = "company.team"


@pytest.fixture
def tasks(tmp_path: Path) -> Iterator[Tasking]:
    with tasking(tmp_path) as made:
        yield made


def text(namespace: str, flow_id: str, more: str = "") -> str:
    return flow(flow_id, more).replace("namespace: team", f"namespace: {namespace}")


def save(tasks: Tasking, namespace: str, flow_id: str, more: str = "") -> None:
    one = flows.Save(namespace=namespace, id=flow_id, source=text(namespace, flow_id, more))
    with tasks.world.database.begin() as tx:
        flows.save_revision(tx.connection, one, now=tasks.world.clock.now())


def test_flows_are_committed_to_a_folder_of_the_branch(tasks: Tasking) -> None:
    first = tasks.repository.commit({"README.md": "hello\n"})
    save(tasks, OWN, "a")
    save(tasks, "company.other", "b")
    outputs = tasks.run("PushFlows")
    head = tasks.repository.head()
    assert outputs["commitId"] == head.id
    assert outputs["commitURL"] == commit_url(tasks.url, head.id)
    assert (head.parents, head.author) == ([first], "Penstock <penstock@localhost>")
    assert head.message == "Add flows from `company.team` namespace"
    assert tasks.repository.contents() == {
        "README.md": "hello\n",
        "_flows/a.yml": text(OWN, "a"),
    }
    lines = text(OWN, "a").count("\n")
    assert tasks.rows(outputs["flows"]) == [
        {
            "file": "_flows/a.yml",
            "additions": f"+{lines}",
            "deletions": "-0",
            "changes": "0",
        }
    ]


def test_a_second_push_without_a_change_makes_no_commit(tasks: Tasking) -> None:
    tasks.repository.commit({"README.md": "hello\n"})
    save(tasks, OWN, "a")
    tasks.run("PushFlows")
    head = tasks.repository.head()
    outputs = tasks.run("PushFlows")
    assert (outputs["commitId"], outputs["commitURL"]) == (None, None)
    assert tasks.rows(outputs["flows"]) == []
    assert tasks.repository.head() == head


def test_an_empty_repository_gets_its_first_commit(tasks: Tasking) -> None:
    save(tasks, OWN, "a")
    tasks.run("PushFlows", commit_message="First", author_name="Ana", author_email="ana@x.org")
    head = tasks.repository.head()
    assert (head.parents, head.message, head.author) == ([], "First", "Ana <ana@x.org>")


def test_a_branch_that_is_not_there_begins_at_the_head(tasks: Tasking) -> None:
    first = tasks.repository.commit({"README.md": "hello\n"})
    save(tasks, OWN, "a")
    tasks.run("PushFlows", branch="kestra")
    assert tasks.repository.head().id == first
    assert tasks.repository.head("kestra").parents == [first]
    assert set(tasks.repository.contents("kestra")) == {"README.md", "_flows/a.yml"}


def test_a_target_namespace_child_namespaces_and_patterns(tasks: Tasking) -> None:
    tasks.repository.commit({"README.md": "hello\n"})
    for namespace, flow_id in ((OWN, "load_a"), (OWN, "send"), (f"{OWN}.sub", "load_b")):
        save(tasks, namespace, flow_id)
    tasks.run(
        "PushFlows",
        target_namespace="prod",
        include_child_namespaces=True,
        flows=["load_*"],
        git_directory="flows",
    )
    assert tasks.repository.contents() == {
        "README.md": "hello\n",
        "flows/load_a.yml": text("prod", "load_a"),
        "flows/sub/load_b.yml": text("prod.sub", "load_b"),
    }


def test_a_flow_that_lies_in_another_file_is_changed_there(tasks: Tasking) -> None:
    tasks.repository.commit({"_flows/my name.yaml": text(OWN, "a")})
    save(tasks, OWN, "a", "description: new\n")
    tasks.run("PushFlows")
    assert tasks.repository.contents() == {
        "_flows/my name.yaml": text(OWN, "a", "description: new\n")
    }


def test_lines_that_were_exchanged_are_changes_and_others_came_or_went(tasks: Tasking) -> None:
    tasks.repository.commit({"_flows/a.yml": text(OWN, "a", "description: old\n")})
    save(tasks, OWN, "a", "description: new\n")
    [row] = tasks.diff("PushFlows", dry_run=True)
    assert (row["additions"], row["deletions"], row["changes"]) == ("+0", "-0", "1")
    tasks.repository.commit({"_flows/a.yml": text(OWN, "a") + "# one\n# two\n"})
    save(tasks, OWN, "a", "labels: {a: b}\n")
    [row] = tasks.diff("PushFlows", dry_run=True)
    assert (row["additions"], row["deletions"], row["changes"]) == ("+0", "-1", "0")


def test_flows_that_are_gone_leave_git_and_everything_else_stays(tasks: Tasking) -> None:
    kept = {
        "_flows/notes.yml": "a: 1\n",
        "_flows/sub/child.yml": text(f"{OWN}.sub", "child"),
        "_flows/other.yml": text(OWN, "other"),
    }
    tasks.repository.commit({**kept, "_flows/old_one.yml": text(OWN, "old_one")})
    save(tasks, OWN, "old_two")
    tasks.run("PushFlows", delete=False)
    assert "_flows/old_one.yml" in tasks.repository.contents()
    tasks.run("PushFlows", flows="nothing*")
    rows = tasks.diff("PushFlows", flows="old_*")
    assert [row["file"] for row in rows] == ["_flows/old_one.yml"]
    assert sorted(tasks.repository.contents()) == sorted([*kept, "_flows/old_two.yml"])
    tasks.run("PushFlows", include_child_namespaces=True)
    assert sorted(tasks.repository.contents()) == ["_flows/notes.yml", "_flows/old_two.yml"]


def test_a_namespace_without_flows_deletes_nothing_in_git(tasks: Tasking) -> None:
    tasks.repository.commit({"_flows/a.yml": text(OWN, "a")})
    assert tasks.diff("PushFlows") == []
    assert tasks.diff("PushNamespaceFiles", "files", git_directory="_flows") == []


def test_a_dry_run_tells_what_would_be_and_pushes_nothing(tasks: Tasking) -> None:
    first = tasks.repository.commit({"README.md": "hello\n"})
    save(tasks, OWN, "a")
    rows = tasks.diff("PushFlows", dry_run=True)
    assert [row["file"] for row in rows] == ["_flows/a.yml"]
    assert tasks.repository.head().id == first


def test_modes_links_and_other_folders_stay_as_they_are(tasks: Tasking) -> None:
    repository = tasks.repository
    inner = repository.tree((b"a.yml", EXECUTABLE, repository.blob(b"old\n")))
    repository.commit_tree(
        repository.tree(
            (b"_flows", FOLDER, inner),
            (b"link", 0o120000, repository.blob(b"run.sh")),
            (b"run.sh", EXECUTABLE, repository.blob(b"ls\n")),
            (b"sub", 0o160000, repository.blob(b"x")),
        )
    )
    before = repository.modes()
    save(tasks, OWN, "a")
    tasks.run("PushFlows")
    assert repository.modes() == before
    assert repository.contents()["_flows/a.yml"] == text(OWN, "a")


def test_who_pushes_meanwhile_is_not_overwritten(tasks: Tasking, tmp_path: Path) -> None:
    tasks.repository.commit({"README.md": "hello\n"})
    raced: list[str] = []

    def wish(_there: object) -> dict[str, bytes | None]:
        if not raced:
            raced.append(tasks.repository.commit({"theirs.txt": "t"}))
        return {"ours.txt": b"o"}

    author = Author(name="A", email="a@x.org", at=tasks.world.clock.now())
    wanted = Push(branch="main", folder="", wish=wish, message="ours", author=author)
    remote = remote_of(tasks.url, rules=Rules(allow_http=True))
    done = push(remote, wanted, tmp_path)
    assert tasks.repository.head().id == done.commit
    assert tasks.repository.head().parents == raced
    assert set(tasks.repository.contents()) == {"README.md", "ours.txt", "theirs.txt"}


def test_a_push_that_the_server_does_not_allow_is_the_tasks_failure(
    tasks: Tasking, tmp_path: Path
) -> None:
    tasks.repository.commit({"README.md": "hello\n"})
    hook = tasks.repository.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    save(tasks, OWN, "a")
    with pytest.raises(TaskFailed, match="GIT_REJECTED"):
        tasks.run("PushFlows")
    assert list(tasks.repository.contents()) == ["README.md"]


def test_an_author_cannot_forge_more_than_a_name(tasks: Tasking) -> None:
    save(tasks, OWN, "a")
    tasks.run("PushFlows", author_name="Ana\nparent x <root>", author_email="a>b")
    assert tasks.repository.head().author == "Anaparent x root <ab>"


def test_files_of_a_namespace_are_committed(tasks: Tasking) -> None:
    tasks.repository.commit({"_files/old": "o"})
    storage = tasks.world.storage
    storage.put_bytes(namespace_file(OWN, "lib/x.py"), b"x = 1\n")
    storage.put_bytes(namespace_file(OWN, "raw.bin"), b"\x00\xff")
    outputs = tasks.run("PushNamespaceFiles", files=["lib/**", "*.bin"])
    assert sorted(row["file"] for row in tasks.rows(outputs["files"])) == [
        "_files/lib/x.py",
        "_files/raw.bin",
    ]
    assert "_files/old" in tasks.repository.contents()
    tasks.run("PushNamespaceFiles", namespace_directory="./lib")
    assert set(tasks.repository.contents()) == {"_files/x.py"}


SYNC: dict[str, Any] = {"namespace": OWN, "branch": "main"}


def actions(rows: list[dict[str, Any]]) -> list[str]:
    return [f"{row['action']} {row['kind']} {row['key']} {row['file']}" for row in rows]


def test_a_folder_is_brought_to_its_namespace(tasks: Tasking) -> None:
    tasks.repository.commit(
        {
            f"ks/{OWN}/flows/changed.yaml": text(OWN, "changed"),
            f"ks/{OWN}/flows/old.yaml": text(OWN, "old"),
            f"ks/{OWN}/files/gone": "g",
            "ks/other/flows/x.yaml": "a: 1\n",
        }
    )
    save(tasks, OWN, "changed", "description: new\n")
    save(tasks, OWN, "new")
    tasks.world.storage.put_bytes(namespace_file(OWN, "f"), b"f")
    dry = tasks.diff("NamespaceSync", "diff", **SYNC, git_directory="ks", dry_run=True)
    assert actions(dry) == [
        f"ADDED FILE {OWN}:f ks/{OWN}/files/f",
        f"DELETED_GIT FILE {OWN}:gone ks/{OWN}/files/gone",
        f"UPDATED_GIT FLOW {OWN}:changed ks/{OWN}/flows/changed.yaml",
        f"ADDED FLOW {OWN}:new ks/{OWN}/flows/new.yaml",
        f"DELETED_GIT FLOW {OWN}:old ks/{OWN}/flows/old.yaml",
    ]
    done = tasks.run("NamespaceSync", **SYNC, git_directory="ks", commit_message="Sync")
    assert done["commitId"] == tasks.repository.head().id
    assert set(tasks.repository.contents()) == {
        f"ks/{OWN}/files/f",
        f"ks/{OWN}/flows/changed.yaml",
        f"ks/{OWN}/flows/new.yaml",
        "ks/other/flows/x.yaml",
    }


def test_what_the_namespace_lacks_is_kept_or_an_error_as_asked(tasks: Tasking) -> None:
    tasks.repository.commit({f"{OWN}/flows/old.yaml": text(OWN, "old")})
    with pytest.raises(TaskFailed, match=r"old\.yaml"):
        tasks.run("NamespaceSync", **SYNC, when_missing_in_source="FAIL")
    save(tasks, OWN, "new")
    tasks.run("NamespaceSync", **SYNC, when_missing_in_source="KEEP")
    tasks.run("NamespaceSync", **SYNC, protected_namespaces=["company"])
    assert set(tasks.repository.contents()) == {
        f"{OWN}/flows/old.yaml",
        f"{OWN}/flows/new.yaml",
    }


def test_a_wrong_password_is_told_without_it(tmp_path: Path) -> None:
    with tasking(tmp_path, username="ana", password="right") as tasks:
        tasks.repository.commit({"README.md": "hello\n"})
        save(tasks, OWN, "a")
        tasks.variables = {"good": "right", "bad": "s3cret-wrong"}
        tasks.run("PushFlows", username="ana", password="{{ good }}")
        wrong = {"username": "ana", "password": "{{ bad }}"}
        with pytest.raises(TaskFailed, match="GIT_AUTH") as failed:
            tasks.run("PushFlows", **wrong, branch="b")
        with pytest.raises(TaskFailed, match="GIT_AUTH") as synced:
            tasks.run("SyncFlows", **wrong, target_namespace="x")
    for error in (failed, synced):
        assert "s3cret-wrong" not in str(error.value)


def test_a_password_written_into_the_flow_is_refused(tasks: Tasking) -> None:
    tasks.repository.commit({"_flows/a.yml": flow("a")})
    for kind in ("PushFlows", "SyncFlows"):
        more = {"target_namespace": "x"}
        with pytest.raises(TaskFailed, match="keep it as a secret") as failed:
            tasks.run(kind, **more, username="ana", password="pl4in")
        assert "pl4in" not in str(failed.value)


def test_a_local_path_is_no_address(tasks: Tasking) -> None:
    with pytest.raises(GitTrouble, match="file"):
        remote_of("file:///etc", rules=Rules(allow_http=True))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/a/b.git", "https://github.com/a/b/commit/1"),
        ("https://u:p@github.com/a/b", "https://github.com/a/b/commit/1"),
        ("https://gitlab.com/a/b", "https://gitlab.com/a/b/-/commit/1"),
        ("https://bitbucket.org/a/b", "https://bitbucket.org/a/b/commits/1"),
        ("git@github.com:a/b.git", None),
    ],
)
def test_a_commit_has_a_page_at_its_forge(url: str, expected: str | None) -> None:
    assert commit_url(url, "1") == expected
