"""Log lines of an execution as groups, one a task run, in the order in which they began. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from penstock_runner.engine.state import Execution, RunKey, TaskRun
from penstock_runner.executor.context import taskrun_id
from penstock_runner.executor.links import LINK
from penstock_runner.executor.store import LogRow
from penstock_runner.flow.model import Level
from penstock_runner.jobs import utterances
from penstock_server.web import ansi, formats, pages, spans

WITHOUT_TASK = "execution"
_LINK = re.compile(LINK.pattern.replace('"', "&#34;"))
ALL_OPEN = 12
_FOLDS = {
    "open": ' data-fold="open"',
    "shut": ' data-fold="shut"',
    "end": ' data-fold="end" hidden',
}
MARKED = frozenset({"ERROR", "WARN"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line."""

    n: int
    at: str
    stamp: str
    level: str
    html: Markup
    attempt: int
    fold: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The lines of one task run."""

    id: str
    name: str
    note: str
    state: str
    took: str
    lines: tuple[Line, ...]
    open: bool

    @property
    def items(self) -> Markup:
        """The lines as list items."""
        return Markup("").join(map(item, self.lines))


def item(line: Line) -> Markup:
    """One line as a list item.

    Written here and not in a template, because a page has a thousand of them; all but the message,
    which is safe already, are numbers and words of ours.
    """
    mark = f' data-level="{line.level}"' if line.level in MARKED else ""
    mark += _FOLDS.get(line.fold, "")
    return Markup(  # noqa: S704 - see above
        f'<li id="L{line.n}"{mark}><a class="no" href="#L{line.n}" aria-label="Line {line.n}">'
        f'{line.n}</a><span class="at" title="{line.stamp}">{line.at}</span>'
        f'<span class="lv">{line.level}</span><span class="tx">{line.html}</span></li>'
    )


def since_start(at: datetime, start: datetime) -> str:
    """Time since the start: `+0:01.2`, `+1:02:03.4`."""
    tenths = max(round((at - start).total_seconds() * 10), 0)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"+{clock}:{rest / 10:04.1f}"


def runs_by_id(execution: Execution) -> dict[str, TaskRun]:
    """Task runs by the id that log lines name."""
    return {taskrun_id(execution.id, run.key): run for run in execution.runs.values()}


def groups(
    execution: Execution,
    rows: Iterable[LogRow],
    now: datetime,
    *,
    wanted: str = "",
    all_open: bool = False,
) -> tuple[Group, ...]:
    """The lines in their groups."""
    by_group: dict[str, list[LogRow]] = {}
    for row in rows:
        by_group.setdefault(row.taskrun_id or WITHOUT_TASK, []).append(row)
    runs = runs_by_id(execution)
    few = len(by_group) <= ALL_OPEN and execution.state.terminal
    return tuple(
        group(
            execution,
            runs.get(name),
            name,
            found,
            now,
            wanted=wanted,
            is_open=all_open or few or bool(wanted),
        )
        for name, found in by_group.items()
    )


def group(
    execution: Execution,
    run: TaskRun | None,
    name: str,
    rows: Sequence[LogRow],
    now: datetime,
    *,
    wanted: str = "",
    is_open: bool = False,
) -> Group:
    """One group; a failed or running one is open."""
    start = execution.history[0][1]
    lines = tuple(line(row, start, wanted) for row in rows)
    if run is None:
        task = next((row.task_id for row in rows if row.task_id), None)
        return Group(
            id=f"g-{name}",
            name=task or "Execution",
            note="",
            state=execution.state.value,
            took="",
            lines=lines,
            open=True,
        )
    state = run.state
    tries = len(run.attempts)
    return Group(
        id=f"g-{name}",
        name=" / ".join(path(execution.runs, run)),
        note=f"{tries} attempts" if tries > 1 else "",
        state=state.value,
        took=formats.duration(spans.elapsed(run.history, now)),
        lines=lines,
        open=is_open or not state.terminal or state.value in {"FAILED", "WARNING"},
    )


def line(row: LogRow, start: datetime, wanted: str = "") -> Line:
    """One line; one that begins a fold is its title, a button for the page's script."""
    fold = utterances.read_fold(row.message)
    message = _linked(ansi.html(row.message if fold is None else fold.title or "", wanted))
    kind = ""
    if fold is not None:
        kind = "end" if fold.title is None else "shut" if fold.shut else "open"
        message = Markup('<button type="button" class="crease">{}</button>').format(message)
    return Line(
        n=row.n,
        at=since_start(row.at, start),
        stamp=f"{row.at.isoformat(sep=' ', timespec='milliseconds')[:23]} UTC",
        level=Level(row.level).value,
        html=message,
        attempt=row.attempt or 1,
        fold=kind,
    )


def _linked(message: Markup) -> Markup:
    """The message with its links to executions; all that a link is made of is safe as it stands."""
    if "[[link " not in message:
        return message
    return Markup(_LINK.sub(_anchor, message))  # noqa: S704 - the text is escaped already


def _anchor(found: re.Match[str]) -> str:
    execution_id, flow_id, namespace = found.groups()
    href = pages.execution_link(namespace, flow_id, execution_id)
    return f'<a class="to" href="{href}">{namespace}.{flow_id} {execution_id[-6:]}</a>'


def path(runs: Mapping[RunKey, TaskRun], run: TaskRun) -> list[str]:
    """The names from the outermost group to the task run."""
    own = [run.task_id] if run.value is None else [run.value, run.task_id]
    parent = runs.get(run.parent) if run.parent is not None else None
    if parent is None:
        return own
    above = path(runs, parent)
    # What is below a value of a loop has that value too: it is named once.
    if run.value is not None and run.value in above:
        own = [run.task_id]
    return [*above, *own]
