"""LoopUntil, and WaitFor under its old name: children again and again until a condition holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock_runner.engine.flowables.api import Choice, Flowable
from penstock_runner.engine.truth import truthy
from penstock_runner.flow import durations
from penstock_runner.flow.model import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequency:
    """How often a loop looks, and when it gives up."""

    interval: timedelta
    max_iterations: int | None
    max_duration: timedelta | None


def _is_old(task: Task) -> bool:
    return task.type.rsplit(".", 1)[-1] == "WaitFor"


def questions(task: Task) -> Mapping[str, object]:
    """What is rendered at the end of a round."""
    return {
        "condition": task.properties.get("condition"),
        "checkFrequency": task.properties.get("checkFrequency") or {},
        "failOnMaxReached": task.properties.get("failOnMaxReached", False),
    }


def frequency(task: Task, values: Mapping[str, object]) -> Frequency:
    """The check frequency as rendered; the old name has its own defaults."""
    given = values.get("checkFrequency")
    said = given if isinstance(given, Mapping) else {}
    old = _is_old(task)
    interval = said.get("interval") or (timedelta(seconds=1) if old else timedelta(minutes=1))
    iterations = said.get("maxIterations", 100 if old else None)
    duration = said.get("maxDuration", timedelta(hours=1) if old else None)
    return Frequency(
        interval=durations.parse(interval),
        max_iterations=None if iterations is None else int(str(iterations)),
        max_duration=None if duration is None else durations.parse(duration),
    )


def verdict(
    task: Task, values: Mapping[str, object], *, rounds: int, began: datetime, now: datetime
) -> tuple[str, Frequency]:
    """`done`, `again`, or which maximum is reached, after so many rounds."""
    often = frequency(task, values)
    if truthy(values.get("condition")):
        return "done", often
    if often.max_iterations is not None and rounds >= often.max_iterations:
        return "iterations", often
    if often.max_duration is not None and now - began >= often.max_duration:
        return "duration", often
    return "again", often


def _decide(_task: Task, _values: Mapping[str, object]) -> Choice:
    return Choice(outputs={"iterationCount": 1})


LOOP_UNTIL = Flowable(decide=_decide, repeats=True)
