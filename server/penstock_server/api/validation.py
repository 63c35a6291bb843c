"""Judging flows, tasks and triggers without saving: what is wrong is the answer, not an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flask import Blueprint, Response, request

from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.flow.faults import Fault, Severity
from penstock_runner.flow.offers import Offer
from penstock_runner.flow.parse import Parsed, parse_documents
from penstock_runner.flow.types import replaced_by
from penstock_runner.flow.unmatched import unmatched
from penstock_runner.flow.violations import dotted, joined_message
from penstock_runner.flow.yaml import load_documents
from penstock_runner.jobs.secrets import secret_of
from penstock_server.api import routing
from penstock_server.api.answers import json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.library import Library
from penstock_server.api.problems import Problem
from penstock_server.api.routing import post
from penstock_server.api.sources import flow_yaml, is_json, json_of, text_of, to_yaml
from penstock_server.core.shapes import Json, without_nulls
from penstock_server.store import queries, runners
from penstock_server.sync.doubts import caller_of, doubts

RETURN_TASK = {"id": "validated", "type": "io.kestra.plugin.core.debug.Return", "format": ""}


class ValidationRoutes:
    """The routes below `/flows/validate`."""

    def __init__(self, context: WebContext, library: Library) -> None:
        self._context = context
        self._library = library

    @post("/validate")
    def flows(self) -> Response:
        """Judge every document of a YAML text, or every flow of a JSON list."""
        parsed = parse_documents(_many())
        names = [name for one in parsed if (name := _name(one)) is not None]
        with self._context.database.read() as connection:
            heads = queries.flow_heads(connection, names)
            offers = {one.name: one.offer for one in runners.list_runners(connection)}
        callers = [caller_of(one, name) for one in parsed if (name := _name(one)) is not None]
        read = self._context.database.read
        missed = doubts(read, callers, self._has_secret, coming=names)
        judged = [self._judged(n, one, heads, offers, missed) for n, one in enumerate(parsed)]
        return json_answer(judged)

    @post("/validate/task")
    def task(self) -> Response:
        """Judge one task (or one trigger, with `section=TRIGGERS`)."""
        section = request.args.get("section", "TASKS").upper()
        if section not in {"TASKS", "TRIGGERS"}:
            raise Problem(422, "section is TASKS or TRIGGERS")
        return self._part("tasks" if section == "TASKS" else "triggers")

    @post("/validate/trigger")
    def trigger(self) -> Response:
        """Judge one trigger."""
        return self._part("triggers")

    def _judged(
        self,
        index: int,
        parsed: Parsed,
        heads: Mapping[tuple[str, str], int],
        offers: Mapping[str, Offer],
        missed: Sequence[Fault],
    ) -> Json:
        name = _name(parsed)
        faults = [*self._library.faults(parsed), *(unmatched(parsed.document, offers))]
        faults += [one for one in missed if name is not None and one.flow == ".".join(name)]
        answer: Json = {
            "index": index,
            "flow": name[1] if name else None,
            "namespace": name[0] if name else None,
            "outdated": name is not None and _outdated(parsed, heads.get(name)),
            **judgement(parsed, faults),
        }
        return without_nulls(answer)

    def _has_secret(self, name: str, namespace: str) -> bool:
        """Whether flows of a namespace, of protected refs at least, get a value for it."""
        try:
            secret_of(self._context.secrets, name, namespace, protected=True)
        except ExpressionFailed:
            return False
        return True

    def _part(self, section: str) -> Response:
        """Judge one task or trigger by putting it into the smallest flow."""
        part = _one()
        flow: Json = {"id": "validated", "namespace": "validated", "tasks": [RETURN_TASK]}
        flow[section] = [part]
        [parsed] = parse_documents(to_yaml(flow))
        faults = [
            fault
            for fault in self._library.faults(parsed)
            if fault.pointer.startswith(f"/{section}/0")
        ]
        return json_answer([without_nulls({"index": 0, **judgement(parsed, faults)})])


def blueprint(context: WebContext, library: Library) -> Blueprint:
    """The routes below `/flows/validate`."""
    return routing.blueprint("validation", "/flows", ValidationRoutes(context, library))


def judgement(parsed: Parsed, faults: Sequence[Fault]) -> Json:
    """What is said of one document: constraints in one text, and each fault with its place."""
    constraints = joined_message(faults, parsed.document.data).strip()
    replaced, deprecated, warnings = [], [], []
    for fault in faults:
        if fault.severity is Severity.ERROR:
            continue
        present = _present_name(parsed, fault)
        if present:
            replaced.append(present)
        elif fault.code.startswith("DEPRECATED"):
            deprecated.append(dotted(fault.pointer))
        else:
            warnings.append(fault.message)
    return {
        "constraints": constraints or None,
        "deprecationPaths": deprecated,
        "warnings": warnings,
        "infos": replaced,
        "errors": [fault_to_json(fault) for fault in faults if fault.severity is Severity.ERROR],
    }


def fault_to_json(fault: Fault) -> Json:
    """One fault with its place in the source."""
    return without_nulls(
        {
            "code": fault.code,
            "message": fault.message,
            "path": fault.path or None,
            "line": fault.line,
            "column": fault.column,
            "endLine": fault.end_line,
            "endColumn": fault.end_column,
            "pointer": fault.pointer,
            "hint": fault.hint,
            "severity": fault.severity.value,
        }
    )


def _present_name(parsed: Parsed, fault: Fault) -> str | None:
    """What to write instead of an older type name."""
    if fault.code != "DEPRECATED_TYPE":
        return None
    at: object = parsed.document.data
    for step in fault.pointer.split("/")[1:]:
        if isinstance(at, Mapping):
            at = at.get(step.replace("~1", "/").replace("~0", "~"))
        elif isinstance(at, Sequence) and not isinstance(at, str) and step.isdecimal():
            at = at[int(step)] if int(step) < len(at) else None
    old = at.get("type") if isinstance(at, Mapping) else None
    new = replaced_by(old) if isinstance(old, str) else None
    return f"{old} is replaced by {new}" if new else None


def _name(parsed: Parsed) -> tuple[str, str] | None:
    data = parsed.document.data
    if not isinstance(data, Mapping):
        return None
    namespace, name = data.get("namespace"), data.get("id")
    return (namespace, name) if isinstance(namespace, str) and isinstance(name, str) else None


def _outdated(parsed: Parsed, head: int | None) -> bool:
    """Whether the text names a revision that is not the latest any more."""
    data = parsed.document.data
    revision = data.get("revision") if isinstance(data, Mapping) else None
    return isinstance(revision, int) and head is not None and revision < head


def _many() -> str:
    if not is_json(request):
        return text_of(request)
    data = json_of(request)
    items = data if isinstance(data, list) else [data]
    if not all(isinstance(item, dict) for item in items):
        raise Problem(422, "flows are JSON objects", reason="Invalid json mapping")
    return "\n---\n".join(flow_yaml(item) for item in items)


def _one() -> object:
    if is_json(request):
        return json_of(request)
    documents = load_documents(text_of(request))
    return documents[0].data if documents else None
