"""The Gantt chart of one execution: rows, bars and positions in per cent. Pure.

Rows follow the flow: a group (a flowable) with its rows below it, the values of a loop as groups of
their own when the loop has several tasks, and dotted rows for tasks that are still to come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from penstock_runner.engine.state import Execution, RunKey, State, TaskRun
from penstock_runner.flow.model import Flow, Task
from penstock_server.web import formats, spans, states
from penstock_server.web.spans import Span

SHOWN_ROWS = 500
LEAST_WIDTH = 0.3
LABEL_BEFORE = 88.0
ROOM_BEFORE = 14.0
FILLED = 0.87
EXPECTED_LEAST = 0.02
MAX_DEPTH = 3
STEPS = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 240, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What the chart's width stands for."""

    start: datetime
    seconds: float
    ticks: tuple[tuple[float, str], ...]

    def place(self, at: datetime) -> float:
        """A moment in per cent of the width."""
        seconds = (at - self.start).total_seconds()
        return min(max(seconds / self.seconds * 100, 0.0), 100.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One piece of a row, in per cent; `kind` is solid, thin, wait, hat or void."""

    x: float
    width: float
    state: str
    kind: str = "solid"
    open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One task run, one value of a loop, or one task that is to come."""

    id: str
    name: str
    state: str
    depth: int
    within: tuple[str, ...] = ()
    note: str = ""
    bars: tuple[Bar, ...] = ()
    label: str = ""
    label_x: float = 0.0
    group: bool = False
    run_key: RunKey | None = None

    @property
    def before(self) -> bool:
        """Whether the label stands before the bar."""
        return self.label_x > LABEL_BEFORE and bool(self.bars) and self.bars[0].x > ROOM_BEFORE

    @property
    def told(self) -> str:
        """The row as a sentence."""
        word = states.label(self.state).lower()
        return ", ".join(part for part in (self.name, word, self.label) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gantt:
    """The whole chart."""

    scale: Scale
    rows: tuple[Row, ...]
    hidden: int = 0
    now: float | None = None

    @property
    def kinds(self) -> frozenset[str]:
        """What the legend has to explain."""
        found = {
            bar.state.lower()
            for row in self.rows
            for bar in row.bars
            if bar.kind in {"solid", "thin"}
        }
        return frozenset(found | {bar.kind for row in self.rows for bar in row.bars})


def gantt(
    execution: Execution,
    flow: Flow | None,
    now: datetime,
    usual: float | None = None,
    durations: Mapping[str, float] | None = None,
) -> Gantt:
    """The chart of an execution at a moment."""
    ended = execution.state.terminal
    start = execution.history[0][1]
    took = spans.elapsed(execution.history, now)
    scale = scale_of(start, max(took, (usual or 0.0) if not ended else 0.0))
    rows = list(_Rows(execution, flow, scale, now).all())
    if flow is not None and not ended:
        rows += _expected(execution, flow, scale, start + timedelta(seconds=took), durations or {})
    return Gantt(
        scale=scale,
        rows=tuple(rows[:SHOWN_ROWS]),
        hidden=max(len(rows) - SHOWN_ROWS, 0),
        now=None if ended else scale.place(now),
    )


def scale_of(start: datetime, seconds: float) -> Scale:
    """A width of whole steps, at most six of them, that the time and a label after it fit in."""
    wanted = max(seconds, 0.5) / FILLED
    step = next((step for step in STEPS if wanted <= step * 5), wanted / 5)
    parts = 1
    while parts * step < wanted:
        parts += 1
    width = parts * step
    ticks = tuple(
        (n * 100 / parts, "0" if n == 0 else formats.duration(n * step)) for n in range(parts + 1)
    )
    return Scale(start=start, seconds=width, ticks=ticks)


class _Rows:
    """Walks the task runs from the outside in."""

    def __init__(
        self, execution: Execution, flow: Flow | None, scale: Scale, now: datetime
    ) -> None:
        self._scale = scale
        self._now = now
        self._tasks = {task.id: task for task in flow.walk()} if flow is not None else {}
        self._below: dict[RunKey | None, list[TaskRun]] = {}
        for run in sorted(execution.runs.values(), key=lambda run: run.order):
            parent = run.parent if run.parent in execution.runs else None
            self._below.setdefault(parent, []).append(run)

    def all(self) -> Iterator[Row]:
        """Every row in order."""
        yield from self._of(self._below.get(None, ()), 0, ())

    def _of(self, runs: Sequence[TaskRun], depth: int, within: tuple[str, ...]) -> Iterator[Row]:
        for run in runs:
            yield from self._run(run, depth, within)

    def _run(
        self, run: TaskRun, depth: int, within: tuple[str, ...], name: str = "", note: str = ""
    ) -> Iterator[Row]:
        children = self._below.get(run.key, ())
        row = self._row(run, depth, within, bool(children))
        yield replace(row, name=name or row.name, note=note or row.note)
        if not children:
            return
        inside = (*within, row.id)
        if children[0].value is None or children[0].value == run.value:
            yield from self._of(children, depth + 1, inside)
            return
        for value, ones in _by_value(children).items():
            yield from self._value(run, value, ones, depth + 1, inside)

    def _value(
        self,
        loop: TaskRun,
        value: str,
        runs: Sequence[TaskRun],
        depth: int,
        within: tuple[str, ...],
    ) -> Iterator[Row]:
        """One value of a loop: its only run, or a group of its runs."""
        task = self._tasks.get(loop.task_id)
        inner = task.branches.get("tasks", ()) if task is not None else ()
        if len(runs) == 1 and len(inner) <= 1:
            yield from self._run(runs[0], depth, within, name=value, note=runs[0].task_id)
            return
        ends = [span for run in runs for span in spans.attempts(run, self._now)]
        going = next((run for run in runs if not run.state.terminal), None)
        state = states.heaviest(run.state.value for run in runs) or "SUCCESS"
        more = going is None and len(runs) < len(inner) and not loop.state.terminal
        state = "RUNNING" if more else state
        place = runs[0].place[-1] if runs[0].place else value
        group = self._group(
            id_=f"{row_id(loop.key)}-v{place}",
            span=Span(
                state=state,
                start=min(span.start for span in ends),
                end=max(span.end for span in ends),
                open=going is not None,
            ),
            depth=depth,
            within=within,
        )
        yield replace(group, name=value)
        yield from self._of(runs, depth + 1, (*within, group.id))

    def _group(self, *, id_: str, span: Span, depth: int, within: tuple[str, ...]) -> Row:
        return Row(
            id=id_,
            name="",
            state=span.state,
            depth=min(depth, MAX_DEPTH),
            within=within,
            bars=(self._bar(span, "thin"),),
            label="" if span.open else formats.duration(span.seconds),
            label_x=self._scale.place(span.end),
            group=True,
        )

    def _row(self, run: TaskRun, depth: int, within: tuple[str, ...], group: bool) -> Row:  # noqa: FBT001
        parts = spans.attempts(run, self._now)
        bars = [self._bar(part, _kind(part, group=group)) for part in parts]
        waited = _waited(run)
        if waited is not None:
            bars.insert(0, self._bar(waited, "wait"))
        return Row(
            id=row_id(run.key),
            name=run.task_id if run.iteration is None else f"{run.task_id} {run.iteration + 1}",
            state=run.state.value,
            depth=min(depth, MAX_DEPTH),
            within=within,
            note=self._note(run),
            bars=tuple(bars),
            label=_label(run, parts, group=group),
            label_x=self._scale.place(parts[-1].end),
            group=group,
            run_key=run.key,
        )

    def _bar(self, span: Span, kind: str) -> Bar:
        x = self._scale.place(span.start)
        width = max(self._scale.place(span.end) - x, LEAST_WIDTH)
        return Bar(x=x, width=width, state=span.state, kind=kind, open=span.open)

    def _note(self, run: TaskRun) -> str:
        kind = (
            self._tasks[run.task_id].kind.rpartition(".")[2] if run.task_id in self._tasks else ""
        )
        if run.values is not None:
            ended = {
                child.value
                for child in self._below.get(run.key, ())
                if child.value is not None and child.state.terminal
            }
            waits = {c.value for c in self._below.get(run.key, ()) if not c.state.terminal}
            total = len(run.values)
            if run.state.terminal:
                return f"for each of {total}"
            return f"for each, {len(ended - waits)} of {total}"
        if len(run.attempts) > 1:
            return f"{len(run.attempts)} attempts"
        words = {"Parallel": "parallel", "Dag": "graph", "Subflow": "subflow", "Pause": "pause"}
        return words.get(kind, "")


def _by_value(runs: Sequence[TaskRun]) -> dict[str, list[TaskRun]]:
    found: dict[str, list[TaskRun]] = {}
    for run in runs:
        found.setdefault(run.value or "", []).append(run)
    return found


def row_id(key: str) -> str:
    """The element that shows a task run."""
    return "task-" + "".join(c if c.isalnum() or c in "-_." else "_" for c in key)


def _kind(span: Span, *, group: bool) -> str:
    if span.state == "RETRYING":
        return "hat"
    if span.state in {"SKIPPED", "CANCELLED"}:
        return "void"
    if span.state in {"CREATED", "QUEUED"}:
        return "wait"
    return "thin" if group or span.state == "PAUSED" else "solid"


def _waited(run: TaskRun) -> Span | None:
    """The time before the first attempt, when it is long enough to be seen."""
    if not run.attempts:
        return None
    start, end = run.history[0][1], run.attempts[0].history[0][1]
    if (end - start).total_seconds() < 0.5:
        return None
    return Span(state="QUEUED", start=start, end=end)


def _label(run: TaskRun, parts: Sequence[Span], *, group: bool) -> str:
    last = parts[-1]
    if run.state in {State.SKIPPED, State.CANCELLED}:
        return "not run"
    if run.state in {State.CREATED, State.QUEUED}:
        return f"waits for a runner, {formats.duration(last.seconds)}"
    if group and last.open:
        return ""
    tries = len(run.attempts)
    if last.open and tries > 1 and last.state != "RETRYING":
        return f"attempt {tries}, {formats.duration(last.seconds)}"
    if run.state is State.FAILED and tries > 1:
        return f"{tries} attempts"
    return formats.duration((last.end - parts[0].start).total_seconds())


def _expected(
    execution: Execution,
    flow: Flow,
    scale: Scale,
    after: datetime,
    durations: Mapping[str, float],
) -> list[Row]:
    """The outermost tasks that have not begun, where they will be if all goes on as usual."""
    begun = {run.task_id for run in execution.runs.values() if run.parent is None}
    at = max(after, _expected_end(execution, after, durations))
    rows = []
    for task in flow.tasks:
        if task.id in begun or task.disabled:
            continue
        seconds = durations.get(task.id, 0.0)
        shown = max(seconds, scale.seconds * EXPECTED_LEAST)
        x = scale.place(at)
        end = scale.place(at + timedelta(seconds=shown))
        bars = (Bar(x=x, width=end - x, state="CREATED", kind="void"),) if end - x > 0.5 else ()
        note = _expected_note(task)
        rows.append(
            Row(id=row_id(task.id), name=task.id, state="CREATED", depth=0, note=note, bars=bars)
        )
        at += timedelta(seconds=shown)
    return rows


def _expected_end(
    execution: Execution, after: datetime, durations: Mapping[str, float]
) -> datetime:
    """When what runs now will end, if it takes its usual time."""
    ends = [
        run.history[0][1] + timedelta(seconds=durations.get(run.task_id, 0.0))
        for run in execution.runs.values()
        if run.parent is None and not run.state.terminal
    ]
    return max([after, *ends])


def _expected_note(task: Task) -> str:
    kind = task.kind.rpartition(".")[2]
    return {"Parallel": "parallel", "ForEach": "for each", "Subflow": "subflow"}.get(kind, "")
