"""One flow taken back to a revision: held against syncs, until a time or until it is resumed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.core.rooms import Core
from tests.git_http import Repository
from tests.sync.world import NOON, flow

from penstock_server.core.operations.flow_holds import resume, rollback
from penstock_server.store import audits, flows


class Holds(Core):
    def rollback(self, name: str, revision: int, **more: Any) -> dict[str, Any]:
        named = {"namespace": "team", "id": name, "revision": revision}
        return self.call(rollback, **named, by="ana", **more)

    def resume(self, name: str) -> dict[str, Any]:
        return self.call(resume, namespace="team", id=name, by="ana")

    def poll(self) -> None:
        """The look that is due, to its end."""
        self.service.tick(self.clock.forward(minutes=2))
        while self.asked:
            self.answer()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "flows.git")


@pytest.fixture
def core(tmp_path: Path, repository: Repository) -> Iterator[Holds]:
    """A source with a flow in its second revision."""
    made = Holds(tmp_path, repository)
    repository.commit({"a.yml": flow("a"), "b.yml": flow("b")})
    made.sync()
    repository.commit({"a.yml": flow("a", "# two\n")})
    made.sync()
    yield made
    made.close()


def test_a_flow_that_was_taken_back_survives_syncs_and_is_shown_as_drift(
    repository: Repository, core: Holds
) -> None:
    told = core.rollback("a", 1, reason="two is slow")["value"]
    assert (told["revision"], told["source"], told["held"]) == (3, "main", True)
    assert core.text("a") == flow("a")
    for name in ("b.yml", "a.yml"):
        repository.commit({name: flow(name[0], "# three\n")})
        core.poll()
    assert core.text("b") == flow("b", "# three\n")
    assert core.text("a") == flow("a")
    status = core.service.status("main")
    assert (status["status"], status["conditions"][0]["type"]) == ("OutOfSync", "DriftDetected")
    with core.database.read() as connection:
        held = flows.holds(connection, "main")["team", "a"]
        [event], _ = audits.page(connection, subject="team.a")
    assert (held.revision, held.by, held.reason) == (1, "ana", "two is slow")
    assert (event.action, event.actor) == ("flow.rolledBack", "ana")


def test_polls_of_a_source_with_a_held_flow_make_no_runs(core: Holds) -> None:
    core.rollback("a", 1)
    core.poll()
    before = core.service.status("main")["applied"]["at"]
    core.poll()
    core.poll()
    assert core.service.status("main")["applied"]["at"] == before


def test_when_its_time_is_over_the_repository_has_the_flow_again(
    repository: Repository, core: Holds
) -> None:
    until = NOON + timedelta(minutes=10)
    core.rollback("a", 1, until=until.isoformat())
    repository.commit({"a.yml": flow("a", "# three\n")})
    core.poll()
    assert core.text("a") == flow("a")
    core.clock.at = until
    core.service.tick(core.clock.now())
    core.answer()
    assert core.text("a") == flow("a", "# three\n")
    with core.database.read() as connection:
        assert flows.holds(connection, "main") == {}
    assert core.service.status("main")["status"] == "Synced"


def test_a_source_that_heals_nothing_still_gets_a_flow_back_that_is_resumed(
    tmp_path: Path, repository: Repository
) -> None:
    (tmp_path / "world").mkdir()
    core = Holds(tmp_path / "world", repository)
    core.roots.append(tmp_path)
    core.start(url=f"file://{repository.path}", selfHeal=False)
    repository.commit({"a.yml": flow("a")})
    core.sync()
    repository.commit({"a.yml": flow("a", "# two\n")})
    core.sync()
    core.rollback("a", 1)
    core.poll()
    assert core.text("a") == flow("a")
    assert core.resume("a")["value"]["held"] is False
    core.answer()
    assert core.text("a") == flow("a", "# two\n")
    assert core.resume("a")["status"] == 409
    core.close()


def test_a_held_flow_is_not_pruned_until_it_is_let_go(repository: Repository, core: Holds) -> None:
    core.rollback("a", 1)
    repository.commit({"a.yml": None})
    core.poll()
    assert set(core.heads()) == {"a", "b"}
    core.resume("a")
    core.answer()
    assert set(core.heads()) == {"b"}


def test_what_cannot_be_gone_back_to_is_said(core: Holds) -> None:
    assert core.rollback("a", 7)["status"] == 404
    assert core.rollback("nobody", 1)["status"] == 404
    past = (NOON - timedelta(hours=1)).isoformat()
    with pytest.raises(Exception, match="has passed"):
        core.rollback("a", 1, until=past)
    assert core.text("a") == flow("a", "# two\n")
