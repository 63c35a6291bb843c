"""Large commits: worked on in moments, written at once, whole whatever happens."""

from __future__ import annotations

import os
import shutil
import signal
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.git_http import Repository
from tests.sync.world import REGISTRY, World, flow

from penstock_server.store import flows, sources, syncs
from penstock_server.sync.look import look

MANY = 310


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


def begun(world: World) -> list[dict[str, Any]]:
    """Let a large commit arrive; what those who wait are told, later."""
    told: list[dict[str, Any]] = []
    world.service.look("main", trigger="manual", wait=told.append)
    world.answer()
    return told


def finish(world: World, told: list[dict[str, Any]]) -> dict[str, Any]:
    for _ in range(1000):
        if told:
            return told[0]
        world.service.tick(world.clock.now())
    raise AssertionError("a large commit does not end")


def test_others_have_their_turn_while_a_large_commit_is_worked_on(
    tmp_path: Path, repository: Repository
) -> None:
    world = World(tmp_path, url=f"file://{repository.path}")
    repository.commit({f"f{n}.yml": flow(f"f{n}") for n in range(MANY)})
    told = begun(world)
    assert (told, world.heads()) == ([], {})
    assert world.service.status("main")["status"] == "Progressing"
    assert world.service.tick(world.clock.now()) <= world.clock.now()
    assert finish(world, told)["counts"] == {"added": MANY}
    assert len(world.heads()) == MANY
    assert world.service.status("main")["status"] == "Synced"
    world.close()


def test_what_is_saved_while_a_large_commit_is_worked_on_makes_it_begin_anew(
    tmp_path: Path, repository: Repository
) -> None:
    world = World(tmp_path, url=f"file://{repository.path}", edits="allow")
    repository.commit({f"f{n}.yml": flow(f"f{n}") for n in range(MANY)})
    finish(world, begun(world))
    repository.commit({f"f{n}.yml": flow(f"f{n}", "# new\n") for n in range(MANY)})
    told = begun(world)
    world.service.tick(world.clock.now())
    with world.database.begin() as tx:
        edited = flows.Save(namespace="team", id="f7", source=flow("f7", "# by hand\n"), via="ui")
        flows.save_revision(tx.connection, edited, now=world.clock.now(), drifted=True)
    result = finish(world, told)
    assert (result["phase"], result["counts"]) == ("succeeded", {"updated": MANY, "drifted": 1})
    assert world.text("f7") == flow("f7", "# new\n")
    assert ("by hand" in world.text("f7", 2), world.heads()["f7"].revision) == (True, 3)
    world.close()


def test_a_switch_that_is_turned_while_a_commit_is_worked_on_stays_as_it_was_turned(
    tmp_path: Path, repository: Repository
) -> None:
    world = World(tmp_path, url=f"file://{repository.path}")
    repository.commit({f"f{n}.yml": flow(f"f{n}") for n in range(MANY)})
    finish(world, begun(world))
    repository.commit({f"f{n}.yml": flow(f"f{n}", "# new\n") for n in range(MANY)})
    told = begun(world)
    for _ in range(3):
        world.service.tick(world.clock.now())
    with world.database.begin() as tx:
        off = flows.Override(disabled=True, by="ana")
        flows.set_override(tx.connection, "team", "f7", off, now=world.clock.now())
    finish(world, told)
    head = world.heads()["f7"]
    assert (head.revision, head.enabled) == (2, False)
    world.close()


def test_killed_at_any_statement_the_store_has_the_old_commit_or_the_new_one_whole(
    tmp_path: Path, repository: Repository
) -> None:
    """Each statement of the apply is the last one of a process once."""
    home = tmp_path / "home"
    home.mkdir()
    url = f"file://{repository.path}"
    world = World(home, url=url)
    world.roots.append(tmp_path)
    world.start(url=url)
    old = repository.commit({f"f{n}.yml": flow(f"f{n}") for n in range(4)})
    world.sync()
    before = _state(world)
    new = repository.commit({"f0.yml": flow("f0", "# new\n"), "f1.yml": None, "f9.yml": flow("f9")})
    world.service.look("main", trigger="webhook")
    answer = look(world.asked.pop(), home / "bare", REGISTRY)
    world.close()
    assert answer["type"] == "found"

    outcomes = []
    for number in range(1, 200):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(home, copy)
        status = _killed_at(number, copy, url, answer)
        again = World(copy, url=url)
        state = _state(again)
        again.close()
        shutil.rmtree(copy)
        outcomes.append(state[0])
        if state[0] == old:
            assert state == before, f"killed at statement {number}"
        else:
            assert state[0] == new
            assert state[1] == {
                "f0": flow("f0", "# new\n"), "f2": flow("f2"), "f3": flow("f3"), "f9": flow("f9")
            }  # fmt: skip
            assert state[2] == 2
        if status == 0:
            break
    assert (outcomes[0], outcomes[-1]) == (old, new)
    assert len(outcomes) > 15, "too few statements were met"


def test_killed_while_rows_are_put_aside_or_moved_the_store_has_one_of_both_commits_whole(
    tmp_path: Path, repository: Repository
) -> None:
    """Some of the many statements of a large apply, those at its end among them."""
    home = tmp_path / "home"
    home.mkdir()
    url = f"file://{repository.path}"
    world = World(home, url=url)
    world.roots.append(tmp_path)
    world.start(url=url)
    old = repository.commit({f"f{n}.yml": flow(f"f{n}") for n in range(4)})
    world.sync()
    before = _state(world)
    new = repository.commit({f"f{n}.yml": flow(f"f{n}", "# new\n") for n in range(MANY)})
    world.service.look("main", trigger="webhook")
    answer = look(world.asked.pop(), home / "bare", REGISTRY)
    world.close()

    outcomes: list[str | None] = []
    whole = tmp_path / "whole"
    shutil.copytree(home, whole)
    assert _killed_at(1_000_000, whole, url, answer) == 0
    count = int((whole / "statements").read_text())
    for number in (1, count // 4, count // 2, *range(count - 40, count + 5, 4)):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(home, copy)
        status = _killed_at(number, copy, url, answer)
        again = World(copy, url=url)
        state = _state(again)
        again.close()
        shutil.rmtree(copy)
        outcomes.append(state[0])
        assert state[0] == new or state == before, f"killed at statement {number}"
        assert state[0] == old or set(state[1].values()) == {
            flow(f"f{n}", "# new\n") for n in range(MANY)
        }
        if status == 0:
            break
    assert (outcomes[0], outcomes[-1]) == (old, new)
    assert len(outcomes) > 8, "too few statements were met"


def _killed_at(number: int, folder: Path, url: str, answer: Mapping[str, Any]) -> int:
    """Apply in a process that kills itself at a statement; 0 when it came to the end before."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _apply_and_die(number, folder, url, answer)
            status = 0
        except BaseException:  # noqa: BLE001 - nothing of the parent may run in the child
            traceback.print_exc()
        finally:
            os._exit(status)
    _, ended = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(ended)
    assert code in (0, -signal.SIGKILL)
    return code


def _apply_and_die(number: int, folder: Path, url: str, answer: Mapping[str, Any]) -> None:
    world = World(folder, url=url)
    for _ in range(50):
        world.starter.new_id()  # the first process has used some
    count = 0

    def statement(_text: str) -> None:
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    world.service.look("main", trigger="webhook")
    with world.database.begin() as tx:
        raw = tx.raw
    raw.set_trace_callback(statement)
    world.service.receive(answer)
    for _ in range(1000):
        if world.service.status("main")["status"] != "Progressing":
            break
        world.service.tick(world.clock.now())
    raw.set_trace_callback(None)
    (folder / "statements").write_text(str(count))


def _state(world: World) -> tuple[str | None, dict[str, str], int]:
    """The commit that is applied, the texts of all flows, and how many runs are remembered.

    What the parts say of the commit must agree: heads, revisions, manifest, row, run.
    """
    heads = world.heads()
    with world.database.read() as connection:
        row = sources.source(connection, "main")
        assert row is not None
        held = sources.manifest(connection, "main", row.applied_commit or "")
        runs = syncs.runs(connection, "main")
    assert held is not None
    named = {item["id"]: item["revision"] for entry in held.entries for item in entry["items"]}
    assert named == {name: head.revision for name, head in heads.items()}
    assert {run.to_commit for run in runs if run.id == row.applied_run_id} == {row.applied_commit}
    return row.applied_commit, {name: world.text(name) for name in heads}, len(runs)
