"""Flows as the web process knows them: read from the store, parsed once, kept by revision."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penstock_runner.flow.catalogue import Catalogue
from penstock_runner.flow.dump import flow_json
from penstock_runner.flow.faults import Fault, Severity
from penstock_runner.flow.model import Flow
from penstock_runner.flow.parse import Parsed, parse_documents, parse_flow
from penstock_runner.flow.violations import Violation, joined_message, violations
from penstock_runner.tasks.validation import all_faults
from penstock_server.api.problems import Problem, conflict, invalid_entity, not_found
from penstock_server.core.shapes import Json, iso, without_nulls
from penstock_server.store import queries
from penstock_server.store.engine import Database
from penstock_server.store.flow_changes import FlowChanges
from penstock_server.store.queries import FlowHeads, FlowRecord

REMEMBERED = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFlow:
    """A stored revision and what it says. `parsed.flow` is None when it no longer parses."""

    record: FlowRecord
    parsed: Parsed

    @property
    def flow(self) -> Flow | None:
        """The flow as it runs."""
        return self.parsed.effective


class Library:
    """Gives flows by name and revision; a revision never changes, so it is parsed once."""

    def __init__(
        self, database: Database, catalogue: Catalogue, changes: FlowChanges | None = None
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._known: OrderedDict[tuple[str, str, int], Parsed] = OrderedDict()
        self._started: OrderedDict[tuple[str, str, int], KnownFlow] = OrderedDict()
        self._heads = FlowHeads(database, changes)
        self._lock = threading.Lock()

    def find(
        self, namespace: str, flow_id: str, revision: int | None = None, *, deleted: bool = False
    ) -> KnownFlow | None:
        """A revision, the latest when None."""
        with self._database.read() as connection:
            record = queries.flow(connection, namespace, flow_id, revision, deleted=deleted)
        return None if record is None else self.known(record)

    def known(self, record: FlowRecord) -> KnownFlow:
        """The parsed form of a record."""
        stored = record.stored
        key = (stored.namespace, stored.id, stored.revision)
        with self._lock:
            parsed = self._known.get(key)
            if parsed is not None:
                self._known.move_to_end(key)
        if parsed is None or parsed.document.text != stored.source:
            parsed = parse_flow(stored.source, strict=False, namespace=stored.namespace)
            with self._lock:
                self._known[key] = parsed
                if len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
        return KnownFlow(record=record, parsed=parsed)

    def startable(
        self, namespace: str, flow_id: str, revision: int | None = None
    ) -> tuple[KnownFlow, Flow]:
        """A flow that an execution can be made of; raises what a client should read."""
        known = self.latest(namespace, flow_id, revision)
        if known is None:
            raise not_found("Requested Flow is not found.")
        if known.record.stored.disabled:
            raise conflict("Requested Flow is disabled.")
        if known.flow is None:
            reason = joined_message(known.parsed.errors, known.parsed.document.data).strip()
            raise conflict(f"Requested Flow is not valid. Error: {reason}")
        return known, known.flow

    def latest(self, namespace: str, flow_id: str, revision: int | None = None) -> KnownFlow | None:
        """The short way to a flow that is not deleted: only its head is read from the store."""
        head = self._heads.find(namespace, flow_id)
        if head is None or head.deleted:
            return None
        known = self._at(namespace, flow_id, head.revision if revision is None else revision)
        if known is None or known.record.stored.disabled == head.disabled:
            return known
        stored = replace(known.record.stored, disabled=head.disabled)
        return replace(known, record=replace(known.record, stored=stored))

    def _at(self, namespace: str, flow_id: str, revision: int) -> KnownFlow | None:
        """A revision, from memory when it was asked for before: revisions never change."""
        key = (namespace, flow_id, revision)
        with self._lock:
            known = self._started.get(key)
        if known is None:
            known = self.find(namespace, flow_id, revision)
            if known is not None:
                with self._lock:
                    self._started[key] = known
                    if len(self._started) > REMEMBERED:
                        self._started.popitem(last=False)
        return known

    def validated(self, source: str, namespace: str | None = None) -> Parsed:
        """The one flow of a source, checked; raises a 422 with every fault."""
        parsed = parse_flow(source, namespace=namespace)
        faults = self.faults(parsed)
        if any(fault.severity is Severity.ERROR for fault in faults):
            raise invalid_flow(faults, parsed.document.data)
        return parsed

    def documents(self, source: str) -> list[Parsed]:
        """Every document of a source, parsed only."""
        return parse_documents(source)

    def faults(self, parsed: Parsed) -> Sequence[Fault]:
        """Everything that is wrong in one document, errors and warnings."""
        return all_faults(parsed, self._catalogue)


def invalid_flow(faults: Sequence[Fault], data: object) -> Problem:
    """The 422 that tells every fault of a flow, on one line and one by one."""
    found = violations(faults, data)
    errors = [{"path": violation.path, "message": violation.message} for violation in found]
    return invalid_entity(", ".join(_told(violation) for violation in found), errors)


def _told(violation: Violation) -> str:
    return str(violation) if violation.path else violation.message


def flow_to_json(known: KnownFlow, *, source: bool = False) -> Json:
    """A stored flow as clients see it: what its author wrote, with what the server knows of it."""
    stored = known.record.stored
    answer = flow_data_to_json(known.parsed)
    answer |= {
        "id": stored.id,
        "namespace": stored.namespace,
        "revision": stored.revision,
        "disabled": stored.disabled,
        "deleted": stored.deleted,
        "updated": iso(known.record.updated_at),
    }
    if stored.git is not None:
        answer["git"] = git_to_json(stored.git)
    if known.record.managed_by is not None:
        answer["managedBy"] = known.record.managed_by
    if known.record.held is not None:
        answer["held"] = without_nulls(dict(known.record.held))
    if source:
        answer["source"] = stored.source
        if known.parsed.flow is None:
            answer["exception"] = joined_message(known.parsed.errors).strip()
    return answer


def flow_data_to_json(parsed: Parsed) -> Json:
    """What the author wrote, labels as a list of pairs."""
    return flow_json(parsed.document.data)


def git_to_json(git: Mapping[str, Any]) -> Json:
    """Where a revision came from."""
    return {k: iso(v) if hasattr(v, "isoformat") else v for k, v in git.items()}
