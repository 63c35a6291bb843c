"""Drawn flows: trees of tasks of every kind, small enough to play to the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from hypothesis import strategies as st
from tests.engine.story import flow, group, job

from penstock_runner.engine.flowables.template import content
from penstock_runner.flow.model import Flow, Listener, Output, Retry, RetryBehavior, Task

# Where a task that brings in a template has what is found for it.
CONTENT = "content"

Draw = Callable[[st.SearchStrategy], object]


class Tree:
    """Draws tasks with ids of their own until its allowance is spent."""

    def __init__(self, draw: Draw, size: int) -> None:
        self.draw = draw
        self.left = size
        self.count = 0

    def name(self) -> str:
        self.count += 1
        self.left -= 1
        return f"t{self.count}"

    def flow(self) -> Flow:
        more: dict[str, object] = {}
        if self.draw(st.booleans()):
            more["errors"] = self.tasks(0, 2)
        if self.draw(st.booleans()):
            more["finally_"] = self.tasks(0, 2)
        if self.draw(st.integers(0, 4)) == 0:
            more["after_execution"] = self.tasks(0, 1)
        if self.draw(st.integers(0, 4)) == 0:
            more["retry"] = self.retry()
        if self.draw(st.integers(0, 4)) == 0:
            more["listeners"] = (Listener(tasks=self.tasks(0, 1)),)
        if self.draw(st.integers(0, 4)) == 0:
            more["outputs"] = (Output(id="x", type="STRING", value="{{ x }}"),)
        return flow(*self.tasks(3, 4), **more)

    def tasks(self, depth: int, most: int) -> tuple[Task, ...]:
        count = self.draw(st.integers(1, most))
        return tuple(self.task(depth) for _ in range(count) if self.left > 0) or (self.leaf(),)

    def task(self, depth: int) -> Task:
        kinds = ["job"] * 5
        if depth > 0:
            kinds += ["Sequential", "Parallel", "Dag", "If", "ForEach", "EachParallel"]
            kinds += ["AllowFailure", "Switch", "LoopUntil", "Parallel", "Parallel", "Sequential"]
            kinds += ["Loop", "Template"]
        kinds += ["Pause", "Subflow", "WorkingDirectory", "ForEachItem"]
        kind = self.draw(st.sampled_from(kinds))
        return self.leaf() if kind == "job" else self.flowable(kind, depth)

    def common(self) -> dict[str, object]:
        said: dict[str, object] = {}
        match self.draw(st.integers(0, 9)):
            case 0:
                said["allow_failure"] = True
            case 1:
                said["retry"] = self.retry()
            case 2:
                said["run_if"] = "{{ gate }}"
            case 3:
                said["disabled"] = True
        return said

    def retry(self) -> Retry:
        behavior = RetryBehavior.RETRY_FAILED_TASK
        if self.draw(st.integers(0, 5)) == 0:
            behavior = RetryBehavior.CREATE_NEW_EXECUTION
        return Retry(
            type="constant", interval=timedelta(seconds=1), max_attempts=2, behavior=behavior
        )

    def leaf(self) -> Task:
        lost = self.draw(st.sampled_from(["RETRY", "RETRY", "FAIL"]))
        return job(self.name(), on_runner_lost=lost, **self.common())

    def flowable(self, kind: str, depth: int) -> Task:
        name = self.name()
        properties: dict[str, object] = {}
        branches: dict[str, tuple[Task, ...]] = {}
        more = self.common()
        match kind:
            case "Pause":
                properties = self.draw(
                    st.sampled_from([{}, {"delay": "PT1S"}, {"timeout": "PT1S"}])
                )
                if depth > 0 and self.draw(st.booleans()):
                    branches["tasks"] = self.tasks(depth - 1, 2)
                if self.draw(st.integers(0, 2)) == 0:
                    branches["onPause"] = (self.leaf(),)
                return group(name, kind, properties=properties, branches=branches, **more)
            case "WorkingDirectory":
                branches = {"tasks": (job(self.name()),)}
            case "Subflow":
                wait = self.draw(st.booleans())
                properties = {"namespace": "team", "flowId": "child", "wait": wait}
                return group(name, kind, properties=properties, **more)
            case "Template":
                errors = self.tasks(0, 1) if self.draw(st.integers(0, 3)) == 0 else ()
                kept = content(self.tasks(depth - 1, 2), errors)
                properties = {"namespace": "team", "templateId": name, CONTENT: kept}
                return group(name, kind, properties=properties, **more)
            case "ForEachItem":
                properties = {"items": "{{ x }}", "namespace": "team", "flowId": "child"}
                if self.draw(st.booleans()):
                    branches = {"errors": self.tasks(0, 1)}
                return group(name, kind, properties=properties, branches=branches, **more)
            case "If":
                properties = {"condition": "{{ x }}"}
                branches = {"then": self.tasks(depth - 1, 2), "else": self.tasks(depth - 1, 2)}
            case "Switch":
                properties = {"value": "{{ x }}"}
                branches = {"cases.true": self.tasks(depth - 1, 2)}
            case "ForEach":
                limit = self.draw(st.integers(0, 2))
                properties = {"values": ["x", "y", "z"], "concurrencyLimit": limit}
            case "EachParallel":
                properties = {"value": ["x", "y"], "concurrent": self.draw(st.integers(0, 2))}
            case "Loop":
                properties = {
                    "values": ["x", "x", "y"],
                    "concurrencyLimit": self.draw(st.integers(0, 2)),
                    "transmitFailed": self.draw(st.booleans()),
                    "fetchType": self.draw(st.sampled_from(["FETCH", "STORE"])),
                }
                if self.draw(st.booleans()):
                    properties["breakWhen"] = "{{ x }}"
            case "LoopUntil":
                properties = {
                    "condition": "{{ x }}",
                    "checkFrequency": {"interval": "PT1S", "maxIterations": 3},
                }
            case "Parallel":
                properties = {"concurrent": self.draw(st.integers(0, 2))}
        if not branches:
            branches = {"tasks": self.tasks(depth - 1, 3)}
        if kind == "Dag":
            ids = [task.id for task in branches["tasks"]]
            more["depends_on"] = {
                later: tuple(
                    earlier for earlier in ids[:place] if self.draw(st.integers(0, 2)) == 0
                )
                for place, later in enumerate(ids)
            }
        for branch in ("errors", "finally"):
            if self.draw(st.integers(0, 4)) == 0:
                branches[branch] = self.tasks(0, 2)
        return group(name, kind, properties=properties, branches=branches, **more)


@st.composite
def flows(draw: Draw, size: int = 14) -> Flow:
    """Any flow of about this many tasks."""
    return Tree(draw, size).flow()
