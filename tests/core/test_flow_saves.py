"""Saving one flow beside a repository that keeps it, and beside other people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.core.rooms import Core
from tests.git_http import Repository
from tests.sync.world import flow

from penstock_server.core.operations.flows import delete, save


class Saves(Core):
    def save(self, name: str, source: str, **more: Any) -> dict[str, Any]:
        named = {"namespace": "team", "id": name, "mode": "update"}
        return self.call(save, **{**named, **more}, source=source, via="ui")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


@pytest.fixture
def core(tmp_path: Path, repository: Repository) -> Iterator[Saves]:
    made = Saves(tmp_path, repository)
    yield made
    made.close()


def test_a_flow_that_a_repository_keeps_is_not_saved_here(
    repository: Repository, core: Saves
) -> None:
    sha = repository.commit({"flows/a.yml": flow("a")})
    core.sync()
    refused = core.save("a", flow("a", "# by hand\n"))
    assert refused["status"] == 409
    assert refused["error"].startswith("MANAGED_BY_GIT: team.a is kept in step with")
    assert f"'main': change the file flows/a.yml (commit {sha[:7]})" in refused["error"]
    assert core.call(delete, namespace="team", id="a", via="ui")["status"] == 409
    assert core.text("a") == flow("a")


def test_of_two_people_who_edit_one_flow_the_second_is_told(core: Saves) -> None:
    core.save("a", flow("a"), mode="create")
    assert core.save("a", flow("a", "# ana\n"), expected_revision=1)["value"]["revision"] == 2
    refused = core.save("a", flow("a", "# li\n"), expected_revision=1)
    assert (refused["status"], core.text("a")) == (409, flow("a", "# ana\n"))
    assert "team.a is at revision 2, not 1" in refused["error"]
    assert core.save("a", flow("a", "# li\n"), expected_revision=2)["value"]["revision"] == 3
