"""Many flows of one call: planned like a commit, written in one transaction, owned by nobody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.core.rooms import Core
from tests.git_http import Repository
from tests.sync.world import flow

from penstock_server.core.operations.flow_sets import save_many
from penstock_server.store import flows


class Sets(Core):
    def save(self, *sources: str, **more: Any) -> dict[str, Any]:
        return self.call(save_many, sources=sources, **more)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


@pytest.fixture
def core(tmp_path: Path, repository: Repository) -> Iterator[Sets]:
    made = Sets(tmp_path, repository)
    yield made
    made.close()


def test_equal_texts_make_no_revision_and_touch_no_trigger(core: Sets) -> None:
    core.save(flow("a"), flow("b"))
    answer = core.save(flow("a"), flow("b", "# new\n"))["value"]
    assert [one["revision"] for one in answer["saved"]] == [1, 2]
    assert core.rows.saved == ["a", "b", "b"]


def test_namespaces_that_are_cleared_keep_only_what_is_listed(core: Sets) -> None:
    other = flow("x").replace("namespace: team", "namespace: team.child")
    core.save(flow("a"), flow("b"), other)
    answer = core.save(flow("b"), flow("c"), clear=["team"])["value"]
    assert answer["deleted"] == [["team", "a"]]
    assert set(core.heads()) == {"b", "c", "x"}
    assert core.rows.deleted == ["a"]


def test_one_flow_of_a_source_refuses_all(repository: Repository, core: Sets) -> None:
    repository.commit({"mine.yml": flow("mine")})
    core.sync()
    answer = core.save(flow("a"), flow("mine", "# edited\n"), clear=["team"])
    assert answer["status"] == 409
    assert "MANAGED_BY_GIT: team.mine" in answer["error"]
    assert set(core.heads()) == {"mine"}


def test_what_a_source_has_is_never_cleared_and_is_only_named_when_that_will_do(
    repository: Repository, core: Sets
) -> None:
    repository.commit({"mine.yml": flow("mine"), "other.yml": flow("other")})
    core.sync()
    core.save(flow("b"))
    answer = core.save(flow("a"), flow("mine", "# edited\n"), clear=["team"], skip=True)["value"]
    assert [one[1] for one in answer["refused"]] == ["mine"]
    assert answer["deleted"] == [["team", "b"]]
    assert set(core.heads()) == {"mine", "other", "a"}


def test_an_edit_that_a_source_allows_is_drift(tmp_path: Path, repository: Repository) -> None:
    (tmp_path / "world").mkdir()
    core = Sets(tmp_path / "world", repository, edits="allow")
    core.roots.append(tmp_path)
    core.start(url=f"file://{repository.path}", edits="allow")
    repository.commit({"mine.yml": flow("mine")})
    core.sync()
    core.save(flow("mine", "# edited\n"), flow("a"))
    assert {name: head.drifted for name, head in core.heads().items()} == {
        "mine": True,
        "a": False,
    }
    with core.database.read() as connection:
        assert flows.drifted(connection, "main") == {("team", "mine")}
    core.close()
