"""`kill -9` at random points while executions run: nothing is lost, nothing is done twice.

`PENSTOCK_KILLS=200` makes it a long story; a few seconds of it are part of every run of the tests.
The seed is printed, and `PENSTOCK_KILLS_SEED` repeats it.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.e2e import processes
from tests.live import AS_OURSELVES, TERMINAL, Service, live_service, wait_for
from tests.postgres import Cluster, postgres, postgres_database

__all__ = ["postgres", "postgres_database"]
pytestmark = pytest.mark.e2e

KILLS = int(os.environ.get("PENSTOCK_KILLS", "10"))
LONG = KILLS > 20
AT_ONCE = 50 if LONG else 8
# After so long no more is killed, however few it were.
SECONDS = float("inf") if LONG else 12.0
LINES = 12
PATIENCE = 180.0
VICTIMS = ("core", "core", "runner", "runner", "git", "web0", "parent", "all")

FLOW = """
id: marks
namespace: kills
inputs:
  - {id: number, type: STRING}
  - {id: file, type: STRING}
tasks:
  - {id: note, type: io.kestra.plugin.core.log.Log, message: "begins {{ inputs.number }}"}
  - id: first
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    retry: {type: constant, interval: PT0.1S, maxAttempts: 40}
    commands: &work
      - for i in $(seq LINES); do echo "line $i"; sleep 0.02; done
      - mark="{{ execution.id }} {{ taskrun.id }} {{ taskrun.attemptsCount }}"
      - echo "$mark" >> "{{ inputs.file }}"
  - id: keep
    type: io.kestra.plugin.core.kv.Set
    key: "n{{ inputs.number }}"
    value: "{{ execution.id }}"
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: [a, b]
    concurrencyLimit: 2
    tasks:
      - id: work
        type: io.kestra.plugin.scripts.shell.Commands
        taskRunner: {type: io.kestra.plugin.core.runner.Process}
        retry: {type: constant, interval: PT0.1S, maxAttempts: 40}
        commands: *work
  - {id: read, type: io.kestra.plugin.core.kv.Get, key: "n{{ inputs.number }}"}
  - {id: back, type: io.kestra.plugin.core.debug.Return, format: "{{ outputs.read.value }}"}
  - {id: bye, type: io.kestra.plugin.core.log.Log, message: "ends {{ inputs.number }}"}
""".replace("LINES", str(LINES))


@dataclass(slots=True)
class Story:
    """The executions of one run of the story, started and watched through all crashes."""

    service: Service
    marks: Path
    started: dict[str, str] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)

    def keep_busy(self, at_once: int = AT_ONCE) -> None:
        """Start until enough are under way; with the same key again when no answer came."""
        while len(self.open) < at_once:
            number = str(len(self.started))
            answer = self.service.post(
                "/api/v1/main/executions/kills/marks",
                headers={"Idempotency-Key": f"mark-{number}"},
                files={"number": (None, number), "file": (None, str(self.marks))},
                timeout=5,
            )
            if answer.status_code != 200:
                return
            self.started[number] = answer.json()["id"]
            self.open.add(number)

    def look(self) -> None:
        """Forget those that have ended."""
        for number in list(self.open):
            answer = self.service.get(f"/api/v1/main/executions/{self.started[number]}", timeout=5)
            if answer.status_code == 200 and answer.json()["state"]["current"] in TERMINAL:
                self.open.discard(number)

    def read(self, path: str, **more: Any) -> Any:
        """What an address answers, as soon as it does."""
        return self.patiently(lambda: self.service.get(path, timeout=5, **more).raise_for_status())

    def patiently(self, do: Any) -> Any:
        """Do it, whatever the service goes through meanwhile."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return do()
            except httpx2.HTTPError:
                assert time.monotonic() < until, self.service.said()[-3000:]
                time.sleep(0.05)


@pytest.fixture(params=["sqlite", "postgres"])
def mortal(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    """A service to crash, on either store; when it is stopped nothing of it is left."""
    environment: dict[str, str] = {}
    if request.param == "postgres":
        cluster: Cluster = request.getfixturevalue("postgres")
        database = request.getfixturevalue("postgres_database")
        address = f"{cluster.user}@{cluster.host}:{cluster.port}/{database}"
        environment["PENSTOCK_DATABASE_URL"] = f"postgresql://{address}"
    with live_service(tmp_path, environment={**AS_OURSELVES, **environment}) as service:
        yield service
    wait_for(lambda: processes.of_home(service.home), lambda left: not left)


@pytest.fixture
def story(tmp_path: Path, mortal: Service) -> Story:
    mortal.put_flow(FLOW)
    return Story(mortal, tmp_path / "marks.txt")


def kill(service: Service, victim: str) -> None:
    """Crash one process, or all of them; a person starts the service again when it is gone."""
    assert service.process is not None
    parent = service.process.pid
    if victim == "parent":
        everybody = processes.below(parent)
        processes.crash(parent)
        service.process.wait(10)
        wait_for(lambda: [p for p in everybody if processes.alive(p)], lambda left: not left)
        service.kill()
    elif victim == "all":
        everybody = processes.below(parent)
        service.kill()
        wait_for(lambda: [p for p in everybody if processes.alive(p)], lambda left: not left)
    else:
        pid = processes.children(parent).get(victim)
        if pid is not None:
            processes.crash(pid)
    if service.process is None:
        service.start()


def test_kills_at_random_points_lose_nothing_and_repeat_nothing(story: Story) -> None:
    seed = int(os.environ.get("PENSTOCK_KILLS_SEED", "0")) or random.randrange(1, 10**6)
    print(f"PENSTOCK_KILLS_SEED={seed} PENSTOCK_KILLS={KILLS}")
    chance = random.Random(seed)
    began = time.monotonic()
    counted: Counter[str] = Counter()
    for _ in range(KILLS):
        if time.monotonic() - began > SECONDS:
            break
        story.patiently(story.keep_busy)
        until = time.monotonic() + chance.uniform(0.0, 0.8)
        while time.monotonic() < until:
            story.patiently(story.look)
        victim = chance.choice(VICTIMS)
        counted[victim] += 1
        kill(story.service, victim)
    until = time.monotonic() + PATIENCE
    while story.open:
        story.patiently(story.look)
        assert time.monotonic() < until, f"never ended: {sorted(story.open)}"
        time.sleep(0.1)
    print(f"{dict(counted)}, {len(story.started)} executions, {time.monotonic() - began:.1f} s")
    _verify(story)


def _verify(story: Story) -> None:
    found = story.read("/api/v1/main/executions/search", params={"size": 1}).json()
    assert found["total"] == len(story.started), "an execution was started twice, or is gone"
    marks = Counter(story.marks.read_text().splitlines())
    faults: list[str] = []
    for number, execution_id in story.started.items():
        faults += _faults(story, number, execution_id, marks)
    assert not faults, "\n".join(faults[:40])
    assert "Traceback" not in story.service.said()


def _faults(story: Story, number: str, execution_id: str, marks: Counter[str]) -> Iterator[str]:
    execution = story.read(f"/api/v1/main/executions/{execution_id}").json()
    logs = story.read(f"/api/v1/main/logs/{execution_id}").json()
    if execution["state"]["current"] != "SUCCESS":
        yield f"{execution_id} ended {execution['state']['current']}"
    runs = execution.get("taskRunList") or []
    names = Counter((run["taskId"], run.get("value")) for run in runs)
    if len(runs) != 9 or set(names.values()) != {1}:
        yield f"{execution_id} has task runs {dict(names)}"
    said = Counter(line["message"] for line in logs if line.get("taskId") in {"note", "bye"})
    if said != {f"begins {number}": 1, f"ends {number}": 1}:
        yield f"{execution_id} said {dict(said)}"
    back = next((run["outputs"].get("value") for run in runs if run["taskId"] == "back"), None)
    if back != execution_id:
        yield f"{execution_id} read back {back}"
    for run in runs:
        if run["taskId"] in {"first", "work"}:
            yield from _faults_of_run(execution_id, run, logs, marks)


def _faults_of_run(
    execution_id: str, run: dict[str, Any], logs: list[dict[str, Any]], marks: Counter[str]
) -> Iterator[str]:
    attempts = [attempt["state"]["current"] for attempt in run["attempts"]]
    name = f"{execution_id} {run['taskId']}[{run.get('value')}] {attempts}"
    if attempts.count("SUCCESS") != 1 or attempts[-1] != "SUCCESS":
        yield f"{name} does not end in its one success"
    for attempt, state in enumerate(attempts):
        # An attempt may be lost between its effect and its end: it has left a mark then, too.
        marked = marks[f"{execution_id} {run['id']} {attempt}"]
        if marked > 1 or (state == "SUCCESS" and marked == 0):
            yield f"{name} attempt {attempt} left {marked} marks"
        lines = [
            line["message"]
            for line in logs
            if line.get("taskRunId") == run["id"]
            and line.get("attemptNumber") == attempt
            and line["message"].startswith("line ")
        ]
        wanted = [f"line {i}" for i in range(1, LINES + 1)]
        if (lines != wanted) if state == "SUCCESS" else (lines != wanted[: len(lines)]):
            yield f"{name} attempt {attempt} has the lines {lines}"
