"""Template: the tasks of a template, which is kept apart from the flows that use it.

A template changes by itself, so its tasks are found when the task begins, and stay the same for the
rest of the execution: they are noted on it by the place that they were found for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from pydantic import TypeAdapter

from penstock_runner.engine.flowables.api import Choice, Flowable, Undecidable
from penstock_runner.engine.state import TEMPLATES, Execution
from penstock_runner.flow.model import Task

# What is asked for, and the name of the answer that only the executor can add: the tasks, or True
# when they were found before.
PURPOSE = "template"
FOUND = "found"

Templates: TypeAlias = Mapping[str, Mapping[str, Any]]

_TASKS = TypeAdapter(tuple[Task, ...])
_BRANCHES = ("tasks", "errors")


def named(task: Task) -> str:
    """The template that a task brings in, as people know it."""
    return f"{task.properties.get('namespace')}.{task.properties.get('templateId')}"


def content(tasks: tuple[Task, ...], errors: tuple[Task, ...]) -> dict[str, Any]:
    """The tasks of a template as plain data."""
    return {
        name: _TASKS.dump_python(branch, mode="json", exclude_defaults=True)
        for name, branch in zip(_BRANCHES, (tasks, errors), strict=True)
        if branch
    }


def known(execution: Execution) -> Templates:
    """The templates found for an execution so far."""
    found = execution.facts.get(TEMPLATES)
    return found if isinstance(found, Mapping) else {}


def branches_of(found: Mapping[str, Any] | None) -> dict[str, tuple[Task, ...]]:
    """The tasks that were found; none before that."""
    return {name: _TASKS.validate_python(tasks) for name, tasks in (found or {}).items()}


def _asks(task: Task) -> Mapping[str, object]:
    return {"args": task.properties.get("args")}


def _decide(task: Task, values: Mapping[str, object]) -> Choice:
    found = values.get(FOUND)
    if found is not True and not isinstance(found, Mapping):
        raise Undecidable(f"Can't find flow template '{named(task)}'")
    args = values.get("args")
    return Choice(
        outputs={"args": args} if args else None,
        template=found if isinstance(found, Mapping) else None,
    )


CONTENT_OF_TEMPLATE = Flowable(purpose=PURPOSE, asks=_asks, decide=_decide, looked_up=True)
