"""A sync run keeps what is wrong in expressions, with line and column."""

from __future__ import annotations

from pathlib import Path

from tests.git_http import Repository
from tests.sync.world import World, flow

BROKEN = """\
id: a
namespace: team
tasks:
  - id: t
    type: io.kestra.plugin.core.log.Log
    message: "{{ inputs.a | }}"
"""


def test_a_broken_expression_stops_the_sync_at_its_place(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "flows.git")
    world = World(tmp_path, url=f"file://{repository.path}")
    try:
        repository.commit({"a.yml": BROKEN, "b.yml": flow("b")})
        result = world.sync()
        assert result["phase"] == "failed"
        [error] = result["errors"]
        assert (error["path"], error["line"], error["column"]) == ("a.yml", 6, 29)
        assert error["code"] == "EXPRESSION_SYNTAX"
        assert world.heads() == {}
    finally:
        world.close()
