from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.git_http import Repository
from tests.sync.world import World, flow

from penstock_runner.executor.messages import Refused
from penstock_server.store import flows, sources, syncs, triggers
from penstock_server.sync.hearing import Delivery

PUSH = """triggers:
  - id: pushed
    type: io.penstock.trigger.Push
"""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


@pytest.fixture
def world(tmp_path: Path, repository: Repository) -> Iterator[World]:
    made = World(tmp_path, url=f"file://{repository.path}")
    yield made
    made.close()


def test_an_empty_server_gets_the_flows_of_the_first_commit(
    repository: Repository, world: World
) -> None:
    sha = repository.commit({"a.yml": flow("a"), "deep/b.yml": flow("b")}, "first")
    result = world.sync()

    assert (result["phase"], result["counts"]["added"]) == ("succeeded", 2)
    heads = world.heads()
    assert {name: head.managed_by for name, head in heads.items()} == {"a": "main", "b": "main"}
    with world.database.read() as connection:
        revision = flows.revision(connection, "team", "b")
        run = syncs.run(connection, result["run"])
        items = syncs.items(connection, result["run"])
        commit = sources.commit(connection, "main", sha)
    assert revision is not None
    assert revision.commit is not None
    assert (revision.commit.sha, revision.commit.path, revision.by) == (
        sha,
        "deep/b.yml",
        "Ana Ruiz",
    )
    assert run is not None
    assert (run.phase, run.to_commit, run.trigger) == ("succeeded", sha, "manual")
    assert [(item.name, item.action, item.to_revision) for item in items] == [
        ("a", "ADDED", 1),
        ("b", "ADDED", 1),
    ]
    assert commit is not None
    assert commit.subject == "first"
    assert world.service.status("main")["status"] == "Synced"
    assert sorted(flow.id for flow in world.triggers.saved) == ["a", "b"]
    assert world.changed == [[("team", "a"), ("team", "b")]]


def test_a_commit_changes_adds_and_deletes_what_it_says(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a"), "b.yml": flow("b"), "c.yml": flow("c")})
    world.sync()
    second = repository.commit(
        {"a.yml": flow("a", "# changed\n")}, "by Li", author="Li Wei <li@example.org>"
    )
    repository.commit({"b.yml": None, "d.yml": flow("d")})
    result = world.sync()

    assert result["counts"] == {
        "added": 1,
        "updated": 1,
        "pruned": 1,
        "unchanged": 1,
        "errors": 0,
    } or result["counts"] == {"added": 1, "updated": 1, "pruned": 1, "unchanged": 1}
    assert {name: head.revision for name, head in world.heads().items()} == {"a": 2, "c": 1, "d": 1}
    with world.database.read() as connection:
        changed = flows.revision(connection, "team", "a")
        gone = flows.revision(connection, "team", "b")
    assert changed is not None
    assert changed.commit is not None
    assert (changed.commit.sha, changed.by) == (second, "Li Wei")
    assert gone is not None
    assert gone.deleted
    assert world.triggers.deleted == [("team", "b")]


def test_one_bad_file_leaves_everything_as_it_was(repository: Repository, world: World) -> None:
    good = repository.commit({"a.yml": flow("a"), "b.yml": flow("b")})
    world.sync()
    bad = repository.commit(
        {"a.yml": flow("a", "# new\n"), "b.yml": flow("b").replace("log.Log", "log.Logg")}
    )
    result = world.sync()

    assert result["phase"] == "failed"
    [error] = result["errors"]
    assert (error["path"], error["line"], error["code"]) == ("b.yml", 5, "UNKNOWN_TASK_TYPE")
    assert {name: head.revision for name, head in world.heads().items()} == {"a": 1, "b": 1}
    status = world.service.status("main")
    assert status["status"] == "Degraded"
    assert status["applied"]["commit"] == good
    assert status["observed"]["commit"] == bad
    assert status["conditions"][0]["type"] == "InvalidFiles"
    with world.database.read() as connection:
        run = syncs.run(connection, result["run"])
    assert run is not None
    assert run.errors["items"][0]["path"] == "b.yml"


def test_a_bad_commit_is_not_tried_again_but_the_next_one_is(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": "id: a\nnamespace: team\ntasks: 5\n"})
    assert world.sync()["phase"] == "failed"
    assert world.sync("poll")["phase"] == "noop"
    assert world.sync()["phase"] == "failed"
    repository.commit({"a.yml": flow("a")})
    assert world.sync()["phase"] == "succeeded"
    assert world.service.status("main")["status"] == "Synced"


def test_a_second_service_goes_on_where_the_first_ended(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a"), "b.yml": flow("b")})
    world.sync()
    world.start(url=f"file://{repository.path}")
    repository.commit({"b.yml": flow("b", "# more\n")})
    result = world.sync()
    assert (result["phase"], result["counts"]["updated"], result["counts"]["unchanged"]) == (
        "succeeded",
        1,
        1,
    )


def test_deleting_everything_needs_a_person(repository: Repository, world: World) -> None:
    repository.commit({f"{name}.yml": flow(name) for name in "abc"})
    world.sync()
    repository.commit({f"{name}.yml": None for name in "abc"} | {"README": "gone"})
    result = world.sync()
    assert result["phase"] == "refused"
    assert len(world.heads()) == 3
    assert world.service.status("main")["conditions"][0]["type"] == "PruneBlocked"

    confirmed = world.sync(confirm=result["digest"])
    assert confirmed["phase"] == "succeeded"
    assert world.heads() == {}


def test_a_flow_of_another_source_is_a_conflict(repository: Repository, world: World) -> None:
    other = flows.Commit(source_id="other", sha="0" * 40)
    with world.database.begin() as tx:
        saved = flows.Save(namespace="team", id="a", source="id: a\n", commit=other)
        flows.save_revision(tx.connection, saved, now=world.clock.now())
    repository.commit({"a.yml": flow("a")})
    result = world.sync()
    assert (result["phase"], result["errors"][0]["code"]) == ("failed", "OWNED_BY_OTHER")
    assert "'other'" in result["errors"][0]["message"]


def test_an_edited_flow_gets_its_text_back_with_the_next_commit(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a"), "b.yml": flow("b")})
    world.sync()
    with world.database.begin() as tx:
        edited = flows.Save(namespace="team", id="a", source=flow("a", "# by hand\n"), via="ui")
        flows.save_revision(tx.connection, edited, now=world.clock.now(), drifted=True)
    repository.commit({"b.yml": flow("b", "# next\n")})
    world.sync()
    assert world.text("a") == flow("a")
    assert "by hand" in world.text("a", 2)


def test_a_rewritten_history_is_applied_and_shown(repository: Repository, world: World) -> None:
    base = repository.commit({"a.yml": flow("a")})
    repository.commit({"a.yml": flow("a", "# two\n")})
    world.sync()
    repository.reset(base)
    repository.commit({"a.yml": flow("a", "# three\n")})
    result = world.sync()
    assert result["phase"] == "succeeded"
    assert "three" in world.text("a")
    assert world.service.status("main")["conditions"][0]["type"] == "HistoryRewritten"


def test_a_push_starts_the_flows_that_want_it_once(repository: Repository, world: World) -> None:
    paths = PUSH + "    paths: ['src/**']\n"
    repository.commit({"a.yml": flow("a", PUSH), "b.yml": flow("b", paths), "c.yml": flow("c")})
    world.sync()
    assert world.starter.started == []

    sha = repository.commit({"src/main.py": "x"}, "code")
    world.sync()
    assert [start.flow_id for start in world.starter.started] == ["a", "b"]
    [first, _] = world.starter.started
    assert first.trigger is not None
    assert first.trigger.variables["commit"] == sha
    assert first.trigger.variables["changed"] == ["src/main.py"]
    assert first.trigger.variables["branch"] == "main"
    assert first.trigger.variables["message"] == "code"

    repository.commit({"docs.md": "x"})
    world.sync()
    world.sync(force=True)
    assert [start.flow_id for start in world.starter.started] == ["a", "b", "a"]


def test_a_flow_that_cannot_start_does_not_keep_a_commit_from_being_applied(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a", PUSH)})
    world.sync()
    world.starter.refuse = Refused("needs an input")
    sha = repository.commit({"x": "y"})
    assert world.sync()["phase"] == "succeeded"
    assert world.service.status("main")["applied"]["commit"] == sha
    with world.database.read() as connection:
        assert syncs.due_outgoing(connection, world.clock.now(), 10) == []


def test_only_what_is_asked_for_is_polled_and_failures_wait_longer(
    repository: Repository, world: World
) -> None:
    service, clock = world.service, world.clock
    assert service.tick(clock.now()) is not None
    assert len(world.asked) == 1
    assert world.answer() == "failed"  # nothing was committed yet
    first = service.status("main")["next"]
    assert first > clock.now()
    service.tick(clock.now())
    assert world.asked == []

    repository.commit({"a.yml": flow("a")})
    clock.at = first
    service.tick(clock.now())
    assert world.answer() == "found"
    after = service.status("main")["next"] - clock.now()
    assert 48 <= after.total_seconds() <= 72


def test_a_missing_secret_is_named(tmp_path: Path, repository: Repository) -> None:
    world = World(tmp_path, url=f"file://{repository.path}", auth={"tokenSecret": "GIT_TOKEN"})
    world.service.look("main", trigger="manual")
    condition = world.service.status("main")["conditions"][0]
    assert (condition["type"], "GIT_TOKEN" in condition["message"]) == ("AuthFailed", True)
    world.close()


def test_what_the_git_process_never_answers_is_given_up(world: World) -> None:
    world.service.look("main", trigger="manual")
    world.service.tick(world.clock.forward(seconds=100))
    assert world.service.status("main")["conditions"][0]["code"] == "GIT_TIMEOUT"


def test_a_flow_named_twice_is_an_error_that_names_both_files(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a"), "b.yml": flow("a")})
    result = world.sync()
    assert result["errors"][0]["code"] == "DUPLICATE_FLOW"
    assert "a.yml" in result["errors"][0]["message"]
    assert "b.yml" in result["errors"][0]["message"]


def test_several_flows_in_one_file_stand_or_fall_together(
    tmp_path: Path, repository: Repository
) -> None:
    world = World(tmp_path, url=f"file://{repository.path}", onInvalid="SKIP_FILE")
    repository.commit({"all.yml": flow("a") + "---\n" + flow("b"), "c.yml": flow("c")})
    assert world.sync()["counts"]["added"] == 3
    broken = flow("a", "# new\n") + "---\n" + flow("b").replace("tasks:", "tusks:")
    repository.commit({"all.yml": broken, "c.yml": flow("c", "# new\n")})
    result = world.sync()
    assert (result["phase"], result["errors"][0]["line"]) == ("succeeded", 11)
    assert {name: head.revision for name, head in world.heads().items()} == {"a": 1, "b": 1, "c": 2}
    world.close()


def test_skipping_bad_files_applies_the_rest(tmp_path: Path, repository: Repository) -> None:
    world = World(tmp_path, url=f"file://{repository.path}", onInvalid="SKIP_FILE")
    repository.commit({"a.yml": flow("a"), "b.yml": flow("b")})
    world.sync()
    repository.commit({"a.yml": flow("a", "# new\n"), "b.yml": "id: b\ntasks: [\n"})
    result = world.sync()
    assert result["phase"] == "succeeded"
    assert {name: head.revision for name, head in world.heads().items()} == {"a": 2, "b": 1}
    assert world.service.status("main")["status"] == "Degraded"
    repository.commit({"b.yml": flow("b", "# mended\n")})
    world.sync()
    assert world.heads()["b"].revision == 2
    assert world.service.status("main")["status"] == "Synced"
    world.close()


def test_a_flow_of_elsewhere_that_names_the_source_is_started_by_its_pushes(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a")})
    world.sync()
    listening = flow("deploy", PUSH + "    source: main\n    paths: ['src/**']\n")
    deaf = flow("deaf", PUSH)
    for name, text in (("deploy", listening), ("deaf", deaf)):
        with world.database.begin() as tx:
            saved = flows.Save(namespace="team", id=name, source=text)
            flows.save_revision(tx.connection, saved, now=world.clock.now())
            state = triggers.TriggerState(
                namespace="team",
                flow_id=name,
                trigger_id="pushed",
                type="io.penstock.trigger.Push",
                digest="x",
                updated_at=world.clock.now(),
            )
            triggers.put(tx.connection, [state])
    sha = repository.commit({"src/main.py": "x"})
    world.sync()
    [start] = world.starter.started
    assert (start.flow_id, start.trigger and start.trigger.variables["commit"]) == ("deploy", sha)

    with world.database.begin() as tx:
        triggers.put(tx.connection, [replace(state, flow_id="deploy", disabled=True)])
    repository.commit({"src/main.py": "y"})
    world.sync()
    assert len(world.starter.started) == 1, "a person has switched the trigger off"


def test_paths_are_compared_with_all_that_changed_and_a_thousand_are_shown(
    repository: Repository, world: World
) -> None:
    repository.commit({"a.yml": flow("a", PUSH + "    paths: ['zz/**']\n")})
    world.sync()
    repository.commit({f"many/{n}": "x" for n in range(1100)} | {"zz/last": "x"})
    world.sync()
    [start] = world.starter.started
    assert start.trigger is not None
    assert len(start.trigger.variables["changed"]) == 1000


def test_a_tag_and_a_branch_start_what_asks_for_them(tmp_path: Path) -> None:
    tags = PUSH + "    events: [tag]\n    tags: ['v*']\n    initial: true\n"
    branches = PUSH + "    branches: ['main']\n    initial: true\n"
    for more, name, variables in (
        ({"tag": "v*"}, "t", ("v1.0", None)),
        ({"ref": "main"}, "b", (None, "main")),
    ):
        folder = tmp_path / name
        repository = Repository(folder / "flows.git")
        sha = repository.commit({"t.yml": flow("t", tags), "b.yml": flow("b", branches)})
        repository.tag("v1.0", sha)
        world = World(folder, url=f"file://{repository.path}", **more)
        world.sync()
        [start] = world.starter.started
        assert start.flow_id == name
        assert start.trigger is not None
        seen = start.trigger.variables
        assert (seen["tag"], seen["branch"]) == variables
        assert seen["shortCommit"] == sha[:7]
        world.close()


def test_a_poll_asks_briefly_and_a_webhook_at_once_for_all(
    repository: Repository, world: World
) -> None:
    repository.commit({f"{name}.yml": flow(name) for name in "abc"})
    world.sync()
    world.clock.at = world.service.status("main")["next"]
    world.service.tick(world.clock.now())
    assert "known" not in world.asked[0]
    assert world.answer() == "seen"
    delivery = Delivery(source_id="main", forge="github", event="push")
    world.service.heard(delivery, lambda _: None)
    assert len(world.asked[0]["known"]) == 3
