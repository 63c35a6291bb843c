"""What conditions and expressions of push triggers come to, asked of whoever can evaluate them.

Most triggers have neither: those cost nothing. For the others the flow is read as the commit has
it, so that a new revision is judged by its own words.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from penstock_runner.executor.messages import Refused, Start
from penstock_runner.flow.model import Flow
from penstock_runner.flow.parse import parse_flow
from penstock_server.store import flows
from penstock_server.sync.desired import FlowText
from penstock_server.sync.push_trigger import Judge

log = logging.getLogger(__name__)


Settle = Callable[[Flow, Mapping[str, Any], Start], Start | None]
"""The start with its inputs and labels rendered, None when a condition does not hold.

Raises `Refused` when one of them cannot be evaluated.
"""


class Database(Protocol):
    """What texts of unchanged flows are read from."""

    def read(self) -> Any:
        """A context manager that gives a connection."""
        ...


def as_written(_flow: Flow, _trigger: Mapping[str, Any], start: Start) -> Start | None:
    """Without anybody who can evaluate, everything is as it is written."""
    return start


def judge_of(database: Database, settle: Settle) -> Judge:
    """Judges starts of push triggers; one that cannot be evaluated starts nothing and is logged."""

    def judge(found: FlowText, trigger: Mapping[str, Any], start: Start) -> Start | None:
        if not _asks(trigger):
            return start
        flow = _read(database, found)
        if flow is None:
            return None
        try:
            return settle(flow, trigger, start)
        except Refused as failed:
            log.warning("push did not start %s.%s: %s", start.namespace, start.flow_id, failed)
            return None

    return judge


def _asks(trigger: Mapping[str, Any]) -> bool:
    written = (trigger.get("inputs"), trigger.get("labels"))
    asked = trigger.get("conditions") or trigger.get("run_if")
    return bool(asked) or "{{" in str(written) or "{%" in str(written)


def _read(database: Database, found: FlowText) -> Flow | None:
    one, text = found.desired, found.text
    if text is None:
        with database.read() as connection:
            stored = flows.revision(connection, one.namespace, one.id, found.revision)
        text = stored.source if stored is not None else ""
    parsed = parse_flow(text, strict=False, namespace=one.namespace)
    return parsed.effective or parsed.flow
