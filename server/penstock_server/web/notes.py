"""What tasks tell people who look at an execution: annotations and summaries. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from penstock_runner.engine.state import Execution, TaskRun
from penstock_server.web import loglines, markdown

SHOWN = 100
LONGEST = 128 * 1024
"""So many bytes of summaries a page shows, of all tasks together; of the rest it has the files."""
STATES = {"error": "FAILED", "warning": "WARNING", "notice": "SUCCESS"}

Read = Callable[[str, int], bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One thing that a task has said of a place in a file."""

    state: str
    place: str
    title: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What the last attempt of a task run has left; `file` has the whole of a cut summary."""

    title: str
    annotations: tuple[Annotation, ...]
    summary: Markup | None
    file: str | None = None


def notes(execution: Execution, read: Read) -> tuple[Note, ...]:
    """Those of all task runs, in the order in which they began."""
    runs = sorted(execution.runs.values(), key=lambda run: run.order)
    found: list[Note] = []
    room = LONGEST
    for run in runs:
        note, taken = _note(execution, run, read, room)
        room -= taken
        if note is not None:
            found.append(note)
        if len(found) == SHOWN:
            break
    return tuple(found)


def _note(execution: Execution, run: TaskRun, read: Read, room: int) -> tuple[Note | None, int]:
    """What a task run has left, and how many bytes of summary of the `room` it has taken."""
    told = run.attempts[-1].notes if run.attempts else None
    if not told:
        return None, 0
    uri = told.get("summary")
    raw = read(uri, room + 1) if isinstance(uri, str) else None
    summary = None if raw is None else markdown.html(raw[:room].decode("utf-8", "replace"))
    note = Note(
        title=" / ".join(loglines.path(execution.runs, run)),
        annotations=tuple(_annotations(told.get("annotations"))),
        summary=summary,
        file=uri if isinstance(uri, str) and raw is not None and len(raw) > room else None,
    )
    return note, min(len(raw or b""), room)


def _annotations(listed: object) -> Iterator[Annotation]:
    for one in listed if isinstance(listed, list | tuple) else ():
        if isinstance(one, Mapping):
            yield _annotation(one)


def _annotation(told: Mapping[str, Any]) -> Annotation:
    place = ":".join(str(told[key]) for key in ("file", "line", "col") if told.get(key))
    return Annotation(
        state=STATES.get(str(told.get("level")), "SUCCESS"),
        place=place,
        title=str(told.get("title") or ""),
        message=str(told.get("message") or ""),
    )
