"""Delivers what the outbox says to forges: in order, and again when it fails.

One call a source is under way, and no sync waits for one. A row that fails is tried again after 5
seconds, doubling to 10 minutes, for a day; an answer that says no for good drops it, and the source
shows why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from penstock_runner.engine.state import Execution
from penstock_runner.executor.store import Write
from penstock_server.store import syncs
from penstock_server.sync.forge_calls import (
    Call,
    Status,
    already,
    deployment_call,
    status_call,
)
from penstock_server.sync.held import Around, HeldSource
from penstock_server.sync.records import Records
from penstock_server.sync.reports import DEPLOYMENT, KINDS, is_same_subject, of_execution
from penstock_server.sync.requests import MissingSecret, Secrets, network_of, report_token
from penstock_server.sync.rules import Rules
from penstock_server.sync.settings import SourceSettings
from penstock_server.sync.state import fine_again, troubled

log = logging.getLogger(__name__)

PREFIX = "report:"
FAILED = "ReportFailed"
_FIRST = timedelta(seconds=5)
_LONGEST = timedelta(minutes=10)
_GIVEN_UP = timedelta(hours=24)
_LOOKED_EVERY = timedelta(seconds=1)
_CALL_SECONDS = 30
_PATIENCE = timedelta(seconds=90)
_AT_ONCE = 500
_LATER = frozenset({0, 408, 409, 425, 429})

Message = Mapping[str, Any]


class Reporting:
    """Called by core's loop, from one thread."""

    def __init__(
        self,
        around: Around,
        records: Records,
        rules: Rules,
        send: Callable[[dict[str, Any]], None],
        secrets: Secrets,
    ) -> None:
        self._around = around
        self._records = records
        self._rules = rules
        self._send = send
        self._secrets = secrets
        self._settings: dict[str, SourceSettings] = {}
        self._under_way: dict[str, tuple[syncs.Outgoing, datetime]] = {}
        self._next: datetime | None = None

    def follow(self, settings: Iterable[SourceSettings]) -> None:
        """These are the sources from now on."""
        self._settings = {one.id: one for one in settings if one.report is not None}

    def changed(self, execution: Execution, told_before: int) -> Sequence[Write]:
        """What is written with the beginning and the end of an execution."""
        rows = of_execution(self._settings, execution, told_before) if self._settings else []
        return [lambda tx: syncs.add_outgoing(tx.connection, rows)] if rows else []

    def tick(self, now: datetime) -> None:
        """Deliver what is due."""
        for source_id, (row, until) in list(self._under_way.items()):
            if until <= now:
                del self._under_way[source_id]
                self._again(row, now, None)
        if not self._settings or (self._next is not None and now < self._next):
            return
        self._next = now + _LOOKED_EVERY
        with self._around.database.read() as connection:
            rows = syncs.outgoing(connection, KINDS, _AT_ONCE)
        for row in _first_of_each(rows):
            source_id = str(row.body["source"])
            if row.next_at <= now and source_id not in self._under_way:
                self._deliver(source_id, row, now)

    def receive(self, message: Message, source: HeldSource | None) -> None:
        """An answer of the git process."""
        name = str(message["source"]).removeprefix(PREFIX)
        row, _ = self._under_way.get(name, (None, None))
        if row is None or message.get("call", row.id) != row.id:
            return
        del self._under_way[name]
        self._next = None
        now = self._around.clock.now()
        status, text = int(message.get("status") or 0), str(message.get("text") or "")
        settings = self._settings.get(name)
        forge = settings.report_forge if settings is not None else None
        if 200 <= status < 300 or (forge is not None and already(forge, status, text)):
            self._done(row, source, None)
        elif status in _LATER or status >= 500:
            self._again(row, now, message.get("retry_after"), source, f"{status} {text}")
        else:
            self._done(row, source, f"the forge answers {status}: {text}")

    def git_process_restarted(self) -> None:
        """What was under way may have arrived, or not: it is told again."""
        self._under_way.clear()
        self._next = None

    def _deliver(self, source_id: str, row: syncs.Outgoing, now: datetime) -> None:
        settings = self._settings.get(source_id)
        if settings is None or settings.report is None:
            self._done(row, None, None)
            return
        try:
            token = report_token(settings, self._secrets)
        except MissingSecret as missing:
            log.warning("report source=%s: %s", source_id, missing)
            self._again(row, now, None)
            return
        self._under_way[source_id] = (row, now + _PATIENCE)
        self._send(self._request(settings, row, token))

    def _request(self, settings: SourceSettings, row: syncs.Outgoing, token: str) -> dict[str, Any]:
        wanted = _call_of(settings, row)
        body = row.body
        deployment = {"repository": settings.shown_url, "text": body["description"]}
        return {
            "type": "call",
            "call": row.id,
            "source": {
                **network_of(settings, self._rules.git, wanted.url),
                "id": f"{PREFIX}{settings.id}",
                "url": wanted.url,
                "timeout": _CALL_SECONDS,
                "limits": settings.limits.model_dump(mode="json"),
            },
            "request": asdict(wanted),
            "token": token,
            "deployment": {**deployment, "url": body["url"]} if row.kind == DEPLOYMENT else None,
        }

    def _again(
        self,
        row: syncs.Outgoing,
        now: datetime,
        retry_after: Any,
        source: HeldSource | None = None,
        why: str = "it is not answered in time",
    ) -> None:
        since = datetime.fromisoformat(str(row.body["since"]))
        wait = min(_FIRST * (1 << min(row.tries, 20)), _LONGEST)
        if isinstance(retry_after, int):
            wait = max(wait, min(timedelta(seconds=retry_after), timedelta(hours=1)))
        if now + wait - since > _GIVEN_UP:
            self._done(row, source, f"given up after a day; at last: {why}")
            return
        later = now + wait
        self._count(row, "retried")
        self._around.starter.transact(
            writes=[lambda tx: syncs.postpone_outgoing(tx.connection, row.id, later)]
        )

    def _done(self, row: syncs.Outgoing, source: HeldSource | None, fault: str | None) -> None:
        """The row is told, or given up for a reason that the source then shows."""

        def write(tx: Any) -> None:
            syncs.remove_outgoing(tx.connection, row.id)

        self._count(row, "delivered" if fault is None else "failed")
        before = source.state.conditions if source is not None else ()
        if source is not None and fault is not None:
            log.warning("report source=%s commit=%s: %s", source.state.id, row.body["sha"], fault)
            told = f"commit {str(row.body['sha'])[:7]} was not reported: {fault}. Check `report`."
            source.state = troubled(
                source.state,
                kind=FAILED,
                code="REPORT_FAILED",
                message=told,
                now=self._around.clock.now(),
            )
        elif source is not None:
            source.state = fine_again(source.state, FAILED)
        if source is not None and source.state.conditions != before:
            self._records.save(source, [write], lambda: None)
        else:
            self._around.starter.transact(writes=[write])

    def _count(self, row: syncs.Outgoing, result: str) -> None:
        settings = self._settings.get(str(row.body["source"]))
        forge = settings.report_forge if settings is not None else None
        self._around.measures.count("report", forge or "unknown", result)


def _first_of_each(rows: list[syncs.Outgoing]) -> Iterator[syncs.Outgoing]:
    """The oldest row of each subject: those behind it wait for it."""
    first: list[syncs.Outgoing] = []
    for row in rows:
        if not any(is_same_subject(row.body, other.body) for other in first):
            first.append(row)
            yield row


def _call_of(settings: SourceSettings, row: syncs.Outgoing) -> Call:
    body, url = row.body, settings.shown_url
    if row.kind == DEPLOYMENT:
        return deployment_call(url, body["sha"], body["environment"], body["description"])
    status = Status(
        sha=body["sha"],
        ref=body["ref"],
        state=body["state"],
        context=body["context"],
        description=body["description"],
        url=body["url"],
    )
    return status_call(settings.report_forge or "github", url, status)
