"""Whatever commits come, what a source keeps is what the last good one says, and nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.git_http import Repository
from tests.sync.world import World, flow

from penstock_server.store import flows
from penstock_server.store import namespace_files as stored

FLOWS = [f"{name}.yml" for name in "abcd"]
FILES = [f"files/{name}" for name in ("x", "y", "lib/z")]
TEXTS = st.sampled_from(["1", "2", "3"])
COMMITS = st.lists(
    st.tuples(st.dictionaries(st.sampled_from([*FLOWS, *FILES]), TEXTS), st.booleans()),
    min_size=1,
    max_size=4,
)


def content(path: str, text: str) -> str:
    return flow(path.removesuffix(".yml"), f"description: '{text}'\n") if path in FLOWS else text


def kept(world: World) -> dict[str, str]:
    """What the source manages, as files of a commit."""
    with world.database.read() as connection:
        heads = flows.list_heads(connection, managed_by="main")
        files = stored.of_source(connection, "main")
    texts = {f"{head.id}.yml": world.text(head.id) for head in heads}
    rows = {f"files{file.path}": file for file in files}
    from penstock_runner.tasks.namespace_files import content_address

    return texts | {
        path: world.storage.read_bytes(content_address(file.sha256)).decode()
        for path, file in rows.items()
    }


def others(world: World) -> Mapping[str, int]:
    with world.database.read() as connection:
        found = flows.list_heads(connection)
    return {head.id: head.revision for head in found if head.managed_by != "main"}


@settings(max_examples=15, deadline=None)
@given(COMMITS)
def test_a_source_has_the_last_good_commit_and_touches_nothing_else(
    commits: list[tuple[dict[str, str], bool]],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        repository = Repository(folder / "flows.git")
        world = World(folder, url=f"file://{repository.path}", namespaces=["team"], allowEmpty=True)
        mine = flows.Save(namespace="team", id="mine", source=flow("mine"))
        with world.database.begin() as tx:
            flows.save_revision(tx.connection, mine, now=world.clock.now())
        good: dict[str, str] = {}
        for number, (files, broken) in enumerate(commits):
            wanted = {path: content(path, text) for path, text in files.items()}
            bad = {"bad.yml": "id: bad\nnamespace: team\n"} if broken else {}
            gone = dict.fromkeys([path for path in repository.files if path not in wanted | bad])
            repository.commit({**gone, **wanted, **bad, "README": str(number)})
            result = world.sync()
            good = good if broken else wanted
            assert result["phase"] == ("failed" if broken else "succeeded")
            assert kept(world) == good
            assert others(world) == {"mine": 1}
            again = world.sync(force=True)
            assert broken or again["counts"].keys() <= {"unchanged"}
        world.close()
