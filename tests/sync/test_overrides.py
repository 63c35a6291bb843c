"""A person's word on a flow, which is no text and so no business of its source."""

from __future__ import annotations

from pathlib import Path

from tests.git_http import Repository
from tests.sync.world import World, flow

from penstock_server.store import flows


def test_a_flow_that_a_person_has_switched_off_stays_so_through_syncs(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "flows.git")
    world = World(tmp_path, url=f"file://{repository.path}")
    repository.commit({"a.yml": flow("a")})
    world.sync()
    said = flows.Override(disabled=True, by="ana", at=world.clock.now(), reason="broken upstream")
    with world.database.begin() as tx:
        flows.set_override(tx.connection, "team", "a", said, now=world.clock.now())
    repository.commit({"a.yml": flow("a", "description: new\n")})
    assert world.sync()["counts"] == {"updated": 1}
    head = world.heads()["a"]
    assert (head.revision, head.override) == (2, said)
    world.close()
