"""All flows that are at hand, with a crash at each of their commits, come to the same states.

The service dies before a commit, or after it and before anybody hears of it, and starts again. What
it was about to tell is lost with it; who has asked for a start asks again.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.executor.harness import World, stored
from tests.scenarios.test_any_flow_in_any_flowable import SOURCES
from tests.scenarios.wrapping import DAYS, Ended, Play, ended

from penstock_runner.engine.state import State
from penstock_runner.executor.memory import MemoryStore
from penstock_runner.executor.messages import Refused
from penstock_runner.executor.store import Batch, StoredFlow

# Later commits of long flows are like those before them.
MOST_COMMITS = 24


class Crash(BaseException):
    """The process dies; nothing in it can do anything about it."""


class Mortal(MemoryStore):
    """A store that outlives a process, which dies at one commit, before or after it."""

    def __init__(self, flows: list[StoredFlow], crash_at: int | None, *, before: bool) -> None:
        super().__init__(flows)
        self.commits = 0
        self._crash_at = crash_at
        self._before = before

    def write(self, batch: Batch) -> None:
        """Write, and die when it is time."""
        now = self.commits == self._crash_at
        self.commits += 1
        if now and self._before:
            raise Crash
        super().write(batch)
        if now:
            raise Crash


def life(play: Play, store: Mortal, flow: StoredFlow, folder: Path) -> Ended | None:
    """One execution, over a crash if there is one; None when it cannot start."""
    world = World(store=store, storage=folder)
    end = world.now + DAYS
    while True:
        try:
            execution_id = play.begin(world, flow)
            if isinstance(execution_id, Refused):
                return None
            play.go_on(world, execution_id, end)
            return ended(world.execution(execution_id))
        except Crash:
            world.sent.clear()
            world.executor = world.make()
            world.executor.recover()


TOLD = """
id: told
namespace: team
tasks:
  - {id: first, type: io.kestra.plugin.core.flow.Template, namespace: team, templateId: tell,
     args: {whom: Ada}}
  - {id: second, type: io.kestra.plugin.core.flow.Template, namespace: team, templateId: tell,
     args: {whom: Bob}}
"""
TELL = """
id: tell
namespace: team
tasks:
  - {id: wait, type: io.kestra.plugin.core.flow.Sleep, duration: PT1S}
  - {id: work, type: io.kestra.plugin.scripts.shell.Commands, commands: ["true"]}
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: "{{ parent.outputs.args.whom }} {{ [1] | jq('.[0]') | first }}"
"""


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_crash_changes_nothing_of_what_templates_bring_in(
    *, before: bool, tmp_path: Path
) -> None:
    flow = stored(TOLD)

    def store(crash_at: int | None) -> Mortal:
        made = Mortal([flow], crash_at, before=before)
        made.put_template("team", "tell", TELL)
        return made

    play = Play([flow])
    calm = store(None)
    expected = life(play, calm, flow, tmp_path)
    assert expected is not None
    assert expected.state == "SUCCESS"
    for commit in range(calm.commits):
        assert life(play, store(commit), flow, tmp_path) == expected, f"crash at commit {commit}"


SHARED = """
id: {name}
namespace: team
concurrency: {{group: deploy, {rule}}}
tasks:
  - {{id: wait, type: io.kestra.plugin.core.flow.Sleep, duration: PT10S}}
  - {{id: say, type: io.kestra.plugin.core.log.Log, message: done}}
"""


def together(store: Mortal, folder: Path) -> list[State]:
    """What four starts in one concurrency group come to, over a crash if there is one."""
    world = World(store=store, storage=folder)
    ids: list[str] = []
    while len(ids) < 4 or not all(world.execution(one).through for one in ids):
        try:
            if len(ids) < 4:
                flow = "one" if len(ids) % 2 else "two"
                ids.append(world.start(flow, idempotency_key=f"key {len(ids)}"))
            else:
                world.wait(10)
        except Crash:
            world.executor = world.make()
            world.executor.recover()
    return [world.execution(one).state for one in ids]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("limit: 1", [State.SUCCESS] * 4),
        ("queue: latest", [State.SUCCESS, State.CANCELLED, State.CANCELLED, State.SUCCESS]),
        ("cancelInProgress: true", [State.KILLED] * 3 + [State.SUCCESS]),
    ],
)
def test_a_crash_at_any_commit_gives_nobody_elses_slot_away(
    rule: str, expected: list[State], *, before: bool, tmp_path: Path
) -> None:
    flows = [stored(SHARED.format(name=name, rule=rule)) for name in ("one", "two")]
    calm = Mortal(flows, None, before=before)
    assert together(calm, tmp_path) == expected
    for commit in range(calm.commits):
        store = Mortal(flows, commit, before=before)
        assert together(store, tmp_path) == expected, f"crash at commit {commit}"


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_crash_at_any_commit_changes_no_end(name: str, *, before: bool, tmp_path: Path) -> None:
    flows = [stored(source) for source in SOURCES.values()]
    flow = stored(SOURCES[name])
    flows = [flow, *(one for one in flows if (one.namespace, one.id) != (flow.namespace, flow.id))]
    play = Play(flows)
    calm = Mortal(flows, None, before=before)
    expected = life(play, calm, flow, tmp_path)
    for commit in range(min(calm.commits, MOST_COMMITS)):
        store = Mortal(flows, commit, before=before)
        assert life(play, store, flow, tmp_path) == expected, f"crash at commit {commit}"
        assert not store.jobs(), f"jobs are left after a crash at commit {commit}"
