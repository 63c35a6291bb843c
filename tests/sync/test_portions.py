"""Files of a large tree are read by several processes; what comes out is the same."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.git_http import Repository
from tests.sync.world import REGISTRY, World, flow

from penstock_server.sync import portions
from penstock_server.sync.look import look
from penstock_server.sync.portions import LEAST, shared_out

MANY = list(range(LEAST * 3))


def numbered(some: Sequence[int]) -> list[dict[str, Any]]:
    return [{"n": n, "process": os.getpid()} for n in some]


def nothing() -> None: ...


def test_items_are_shared_out_and_their_answers_come_back_in_order() -> None:
    found = shared_out(MANY, numbered, begin=nothing, processors=3)
    assert [one["n"] for one in found] == MANY
    assert len({one["process"] for one in found}) == 3


def test_a_few_items_are_worked_on_here_alone() -> None:
    found = shared_out(MANY[:LEAST], numbered, begin=nothing, processors=4)
    assert {one["process"] for one in found} == {os.getpid()}


def test_what_a_process_cannot_do_is_done_here() -> None:
    here = os.getpid()

    def refusing() -> None:
        raise OSError("no files here")

    found = shared_out(MANY, numbered, begin=refusing, processors=3)
    assert [one["n"] for one in found] == MANY
    assert {one["process"] for one in found} == {here}


def test_what_goes_wrong_in_a_process_is_raised_here() -> None:
    def work(some: Sequence[int]) -> list[dict[str, Any]]:
        if MANY[-1] in some:
            raise LookupError("the last one is damaged")
        return numbered(some)

    with pytest.raises(LookupError, match="damaged"):
        shared_out(MANY, work, begin=nothing, processors=3)


def test_a_process_that_is_killed_leaves_nothing_out() -> None:
    here = os.getpid()

    def work(some: Sequence[int]) -> list[dict[str, Any]]:
        if os.getpid() != here:
            os.kill(os.getpid(), 9)
        return numbered(some)

    assert [one["n"] for one in shared_out(MANY, work, begin=nothing, processors=2)] == MANY


def test_a_tree_that_several_processes_read_is_what_one_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository(tmp_path / "flows.git")
    files: dict[str, str | None] = {f"f{n}.yml": flow(f"f{n}") for n in range(LEAST * 2)}
    repository.commit({**files, "broken.yml": "id: [", "f7.yml": flow("f7", "tusks: []\n")})
    answers = []
    for processors in ({0}, {0, 1, 2, 3}):
        monkeypatch.setattr(portions.os, "sched_getaffinity", lambda _, some=processors: some)
        home = tmp_path / str(len(processors))
        home.mkdir()
        world = World(home, url=f"file://{repository.path}")
        world.roots.append(tmp_path)
        world.start(url=f"file://{repository.path}")
        world.service.look("main", trigger="manual")
        answers.append(look(world.asked.pop(), home / "bare", REGISTRY))
        world.close()
    alone, together = answers
    assert len(alone["files"]) == LEAST * 2 + 1
    assert together == alone
