"""Syncs that a Git task asks for: the same look and the same plan, but nobody owns the result.

The git process looks, as it does for sources. What it has found waits until the task asks again:
a task that was killed meanwhile never does, and then nothing is applied.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from penstock_runner.executor.messages import Outcome
from penstock_runner.git.remote import stripped
from penstock_server.store import flows, syncs
from penstock_server.sync.applying import Application
from penstock_server.sync.asked import TASK_STORES, Look
from penstock_server.sync.desired import contents_of
from penstock_server.sync.held import Around
from penstock_server.sync.plan import SyncPlan
from penstock_server.sync.requests import proxy_for
from penstock_server.sync.rows import Run
from penstock_server.sync.rules import Rules
from penstock_server.sync.settings import Limits, SourceSettings
from penstock_server.sync.task_plans import Scope, TaskRefused, item_data, judged, plan_for_task

log = logging.getLogger(__name__)

Message = Mapping[str, Any]
Told = Callable[[dict[str, Any] | Exception | None], None]
_FORGOTTEN = timedelta(minutes=15)
_SECONDS = 300
MISSING = "GIT_PATH_NOT_FOUND"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSync:
    """What a task asks for; `described` is what it says of the repository and its files."""

    described: Message
    scope: Scope
    actor: str


@dataclass(slots=True, kw_only=True)
class _Ticket:
    wanted: TaskSync
    request: dict[str, Any]
    since: datetime
    answer: Message | None = None
    told: bool = False


@dataclass(slots=True)
class TaskSyncs:
    """Called by core's loop, from one thread."""

    around: Around
    rules: Rules
    send: Callable[[dict[str, Any]], None]
    _tickets: dict[str, _Ticket] = field(default_factory=dict)
    _asked: dict[str, deque[str]] = field(default_factory=dict)  # by repository, as asked

    def start(self, wanted: TaskSync) -> str:
        """Ask the git process to look; gives a ticket to come back with."""
        now, ticket = self.around.clock.now(), self.around.starter.new_id()
        source = self._source(wanted.described)
        request: dict[str, Any] = {"type": "look", "ticket": ticket, "source": source}
        self._tickets[ticket] = _Ticket(wanted=wanted, request=request, since=now)
        self._asked.setdefault(source["id"], deque()).append(ticket)
        self.send(request)
        return ticket

    def receive(self, message: Message) -> None:
        """An answer of the git process: those of one repository come in the order of the asking."""
        waiting = self._asked.get(str(message.get("source")))
        if waiting:
            ticket = self._tickets.get(waiting.popleft())
            if ticket is not None:
                ticket.answer = message

    def git_process_restarted(self) -> None:
        """Ask again for what was under way."""
        for waiting in self._asked.values():
            for name in waiting:
                if name in self._tickets:
                    self.send(self._tickets[name].request)

    def tick(self, now: datetime) -> None:
        """Forget what nobody has come back for."""
        for name, ticket in list(self._tickets.items()):
            if now - ticket.since > _FORGOTTEN:
                del self._tickets[name]

    def result(self, name: str, told: Told) -> None:
        """Tell what has become of a ticket: None while the git process is busy.

        What was found is applied now; the answer comes after the commit.
        """
        ticket = self._tickets.get(name)
        if ticket is None:
            raise TaskRefused("the sync is not known any more: the service was started again")
        if ticket.answer is None:
            told(None)
            return
        del self._tickets[name]
        if ticket.answer["type"] == "failed":
            missing = ticket.answer["code"] == MISSING and ticket.wanted.scope.may_be_missing
            if not missing:
                raise TaskRefused(f"{ticket.answer['code']} {ticket.answer['message']}")
            told({"commit": None, "items": [], "skipped": []})
            return
        self._found(ticket.wanted, ticket.answer, told)

    def _source(self, described: Message) -> dict[str, Any]:
        """A source for the git process; the same repository has the same store."""
        url = str(described["url"])
        name = hashlib.sha256(stripped(url).encode()).hexdigest()[:12]
        limits = Limits().model_dump(mode="json")
        return {
            "id": f"{TASK_STORES}{name}",
            "limits": limits,
            "timeout": _SECONDS,
            "allow_http": True,
            "allow_private": self.rules.git.allow_private is not False,
            "file_roots": [str(root) for root in self.rules.git.file_roots],
            "proxy": proxy_for(url, self.rules.git.proxies),
            **{key: value for key, value in described.items() if value is not None},
        }

    def _found(self, wanted: TaskSync, message: Message, told: Told) -> None:
        contents = contents_of(message["files"], message["notes"], {}, flows.digest)
        with self.around.database.read() as connection:
            plan = plan_for_task(connection, wanted.scope, contents)
        judged(wanted.scope, contents, plan)
        skipped = [str(fault) for fault in contents.errors]
        told_items = [item_data(item, message["commit"]["sha"]) for item in plan.items]
        result = {"commit": message["commit"]["sha"], "items": told_items, "skipped": skipped}
        if wanted.scope.dry_run or not plan.changes:
            told(result)
            return
        self._apply(wanted, message, _application(self.around, wanted, message, plan), result, told)

    def _apply(
        self,
        wanted: TaskSync,
        message: Message,
        job: Application,
        result: dict[str, Any],
        told: Told,
    ) -> None:
        now = job.now
        run = Run(
            id=job.run_id,
            source_id=job.source.id,
            look=Look(trigger="task", actor=wanted.actor),
            message=message,
            before=None,
            started=now,
        )
        row = run.row("succeeded", now, job.plan, job.contents.errors, "")

        def write(tx: Any) -> None:
            job.write(tx)
            syncs.put_run(tx.connection, row)

        def done(outcome: Outcome) -> None:
            if outcome.error is not None:
                told(outcome.error)
                return
            log.info("git.task_applied by=%s commit=%s run=%s", wanted.actor, run.sha, run.id)
            self.around.on_flows_changed(job.changed)
            told(result)

        self.around.starter.transact(writes=[write], done=done)


def _application(around: Around, wanted: TaskSync, message: Message, plan: SyncPlan) -> Application:
    return Application(
        source=SourceSettings(id=message["source"], url=str(wanted.described["url"])),
        run_id=around.starter.new_id(),
        plan=plan,
        contents=contents_of(message["files"], message["notes"], {}, flows.digest),
        manifest={},
        commit=message["commit"],
        commits=message["commits"],
        ref=message["ref"],
        now=around.clock.now(),
        triggers=around.triggers,
        via="task",
        owned=False,
    )
