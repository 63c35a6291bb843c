"""The rows of lists of executions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from penstock_runner.engine.state import Execution, TriggerOrigin
from penstock_runner.flow.labels import SYSTEM_PREFIX
from penstock_server.store.queries.briefs import Brief, CommitBrief, Name, Recent
from penstock_server.web import spans, states, strips
from penstock_server.web.strips import Strip


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What started an execution, with its symbol."""

    icon: str
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRow:
    """One execution in a list."""

    id: str
    namespace: str
    flow_id: str
    state: str
    told: str
    strip: Strip
    seconds: float
    cause: Cause
    commit: CommitBrief | None
    started: datetime
    open: bool


def list_row(brief: Brief, usual: float | None, now: datetime) -> ListRow:
    """The row of an execution."""
    execution = brief.execution
    state = execution.state.value
    return ListRow(
        id=execution.id,
        namespace=execution.namespace,
        flow_id=execution.flow_id,
        state=state,
        told=_told(execution),
        strip=strips.strip(execution.history, now, usual),
        seconds=spans.elapsed(execution.history, now),
        cause=cause(execution.trigger, execution.parent_id),
        commit=brief.commit,
        started=execution.history[0][1],
        open=not execution.state.terminal,
    )


def list_rows(
    briefs: Sequence[Brief], recents: Mapping[Name, Sequence[Recent]], now: datetime
) -> tuple[ListRow, ...]:
    """The rows of a page, each compared with what is usual for its flow."""
    usual = {name: spans.usual(ones) for name, ones in recents.items()}
    return tuple(
        list_row(one, usual.get((one.execution.namespace, one.execution.flow_id)), now)
        for one in briefs
    )


def cause(trigger: TriggerOrigin | None, parent_id: str | None = None) -> Cause:
    """What started an execution."""
    if trigger is None:
        return Cause(icon="user", word="subflow" if parent_id else "by hand or API")
    kind = trigger.type.rpartition(".")[2]
    known = {
        "Schedule": Cause(icon="clock", word="schedule"),
        "Webhook": Cause(icon="bolt", word="webhook"),
        "Subflow": Cause(icon="flow", word="subflow"),
        "ForEachItem": Cause(icon="flow", word="subflow"),
        "Flow": Cause(icon="flow", word="after a flow"),
        "Push": Cause(icon="git", word="push"),
    }
    return known.get(kind, Cause(icon="bolt", word=kind.lower()))


def shown_labels(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The labels that people gave."""
    return tuple(pair for pair in labels.items() if not pair[0].startswith(SYSTEM_PREFIX))


def _told(execution: Execution) -> str:
    word = states.label(execution.state.value)
    return f"{word}, attempt {execution.attempt_number}" if execution.attempt_number > 1 else word
