"""Histories of executions as files: what was stored of a run, with the text of its flow.

A file is JSON: the flow's text, the execution before its first event, the events in the groups
that were written together, and what the execution had come to.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_runner.engine.events import Event
from penstock_runner.engine.state import Execution, RunKey
from penstock_server.store import bodies

FOLDER = Path(__file__).parent / "histories"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One execution from its start to its end."""

    flow: str
    begun: Execution
    steps: tuple[tuple[Event, ...], ...]
    ended: Execution


def read(path: Path) -> History:
    """The history of a file."""
    found = json.loads(path.read_text())
    return History(
        flow=found["flow"],
        begun=_execution(found["begun"]),
        steps=tuple(bodies.events_from_json(json.dumps(step)) for step in found["steps"]),
        ended=_execution(found["ended"]),
    )


def write(path: Path, history: History) -> None:
    """Make the file of a history."""
    said = {
        "flow": history.flow,
        "begun": _plain(history.begun),
        "steps": [json.loads(bodies.events_to_json(step)) for step in history.steps],
        "ended": _plain(history.ended),
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(said, indent=1) + "\n")


def _plain(execution: Execution) -> dict[str, Any]:
    return {
        "id": execution.id,
        "namespace": execution.namespace,
        "flow_id": execution.flow_id,
        "flow_revision": execution.flow_revision,
        "body": json.loads(bodies.execution_to_json(execution)),
        "runs": [
            {
                "key": run.key,
                "task_id": run.task_id,
                "order": run.order,
                "body": json.loads(bodies.run_to_json(run)),
            }
            for run in sorted(execution.runs.values(), key=lambda each: each.order)
        ],
    }


def _execution(said: dict[str, Any]) -> Execution:
    runs = [
        bodies.run_from_json(
            json.dumps(one["body"]), key=one["key"], task_id=one["task_id"], order=one["order"]
        )
        for one in said["runs"]
    ]
    return bodies.execution_from_json(
        json.dumps(said["body"]),
        id=said["id"],
        namespace=said["namespace"],
        flow_id=said["flow_id"],
        flow_revision=said["flow_revision"],
        version=0,
        runs={RunKey(run.key): run for run in runs},
    )
