"""Parse and validate a flow, or one object put into the smallest flow that holds it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from tests.conformance.cases import Case, Context, Outcome, outcome
from tests.conformance.matchers import Matcher

from penstock_runner.expressions.dates.patterns import format_java
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.flow.faults import Fault, Severity
from penstock_runner.flow.flow_rules import identity_faults
from penstock_runner.flow.literals import (
    json_reason,
    pattern_reason,
    zone_reason,
)
from penstock_runner.flow.model import Flow, Retry
from penstock_runner.flow.parse import Parsed, parse_flow
from penstock_runner.flow.trigger_rules import Finding, filter_findings, time_window_findings
from penstock_runner.flow.violations import Violation, dotted, violations
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.validation import all_faults
from penstock_server.api.library import flow_data_to_json

_LOG = {"id": "it", "type": "io.kestra.plugin.core.log.Log", "message": "hello"}


def run(case: Case, context: Context) -> Outcome:
    """Read, check and compare."""
    if case.get("object_kind") in _VALUES:
        found = list(_VALUES[case["object_kind"]](case["object"]))
        return outcome(_mismatch(case["expect"], found, context))
    parsed = parse_flow(_text(case, context), case.get("flow", ""), strict=case.get("strict", True))
    faults = all_faults(parsed, Registry())
    if "update_of" in case:
        faults = (*faults, *identity_faults(_previous(case, context), parsed))
    expected = case["expect"]
    reason = _mismatch(expected, violations(faults, parsed.document.data), context)
    return outcome(reason or _more(expected, parsed, faults, context))


def _previous(case: Case, context: Context) -> dict[str, Any]:
    before = case["update_of"]
    if isinstance(before, dict):
        return before
    data = parse_flow(context.flow_path(before).read_text(encoding="utf-8")).document.data
    assert isinstance(data, dict)
    return data


def _text(case: Case, context: Context) -> str:
    if "flow" in case:
        return context.flow_path(case["flow"]).read_text(encoding="utf-8")
    if "flow_inline" in case:
        return json.dumps(case["flow_inline"])
    flow: dict[str, Any] = {"id": "one", "namespace": "tests", "tasks": [_LOG]}
    given = case["object"]
    match case["object_kind"]:
        case "retry":
            flow["retry"] = given
        case "input":
            flow["inputs"] = [given]
        case "sla":
            flow["sla"] = [given]
        case "plugin_default":
            flow["pluginDefaults"] = [given]
        case "trigger":
            flow["triggers"] = [given]
        case "task":
            flow["tasks"] = [given]
        case "data":
            flow["variables"] = given
        case kind:
            raise ValueError(f"unknown kind of object {kind}")
    return json.dumps(flow)


def _one(judge: Callable[[str], str | None]) -> Callable[[Any], Iterator[Violation]]:
    def judged(given: Any) -> Iterator[Violation]:
        for text in given if isinstance(given, list) else [given]:
            if reason := judge(text):
                yield Violation(path="", message=reason)

    return judged


def _date_format_reason(pattern: str) -> str | None:
    try:
        format_java(datetime(2026, 1, 1, tzinfo=UTC), pattern)
    except ExpressionFailed as failed:
        return str(failed)
    return None


def _found(find: Callable[[Any], Iterator[Finding]]) -> Callable[[Any], Iterator[Violation]]:
    def judged(given: Any) -> Iterator[Violation]:
        for where, _, message in find(given):
            yield Violation(path=".".join(map(str, where)), message=message)

    return judged


_VALUES: dict[str, Callable[[Any], Iterator[Violation]]] = {
    "regex": _one(pattern_reason),
    "timezone": _one(zone_reason),
    "json_string": _one(json_reason),
    "date_formats": _one(_date_format_reason),
    "precondition_filter": _found(filter_findings),
    "time_window": _found(time_window_findings),
}


def _mismatch(expected: dict[str, Any], found: list[Violation], context: Context) -> str | None:
    joined = "".join(f"{violation}\n" for violation in found)
    count, valid = expected.get("violations"), expected.get("valid")
    if valid is not None and valid is not (not found):
        return f"valid is {not found}: {joined!r}"
    if count is not None and count != len(found):
        return f"{len(found)} violations, expected {count}: {joined!r}"
    missing = [part for part in expected.get("messages", ()) if part not in joined]
    if missing:
        return f"{joined!r} lacks {missing}"
    either = expected.get("any_message")
    if either and not any(part in joined for part in either):
        return f"{joined!r} has none of {either}"
    if "message_equals" in expected and joined != expected["message_equals"]:
        return f"is {joined!r}"
    if "path" in expected and all(v.path != expected["path"] for v in found):
        return f"no violation has the path {expected['path']}: {[v.path for v in found]}"
    for part, times in expected.get("count_of", {}).items():
        if joined.count(part) != times:
            return f"{part!r} is {joined.count(part)} times in {joined!r}"
    return None


def _more(
    expected: dict[str, Any], parsed: Parsed, faults: tuple[Fault, ...], context: Context
) -> str | None:
    warnings = [f for f in faults if f.severity is Severity.WARNING]
    if "warnings" in expected:
        known = [f.message for f in warnings]
        missing = [text for text in expected["warnings"] if text not in known]
        if missing:
            return f"warnings {known} lack {missing}"
    if "deprecation_paths" in expected:
        paths = [dotted(f.pointer) for f in warnings if f.code.startswith("DEPRECATED")]
        if paths != expected["deprecation_paths"]:
            return f"deprecated are {paths}"
    flow = parsed.flow
    for path, wanted in expected.get("parsed", {}).items():
        got = None if flow is None else _value(flow, path)
        if reason := Matcher(now=context.now).mismatch(wanted, got, path):
            return reason
    if "json_equals" in expected:
        got = {} if flow is None else _as_json(parsed)
        return Matcher(now=context.now).mismatch(expected["json_equals"], got, "json", exact=True)
    return None


def _as_json(parsed: Parsed) -> dict[str, Any]:
    """As the API shows it, with what the store knows of a flow that is new."""
    assert parsed.flow is not None
    known = {"disabled": parsed.flow.disabled, "deleted": parsed.flow.deleted}
    return {**flow_data_to_json(parsed), **known}


_COUNTS: dict[str, Callable[[Flow], int]] = {
    "inputs.required_count": lambda flow: sum(i.required for i in flow.inputs),
    "inputs.optional_count": lambda flow: sum(not i.required for i in flow.inputs),
    "inputs.with_defaults_count": lambda flow: sum(i.defaults is not None for i in flow.inputs),
    "inputs.string_validator_count": lambda flow: sum(
        "validator" in i.options for i in flow.inputs if i.type == "STRING"
    ),
    "all_task_and_trigger_ids.size": lambda flow: len(
        {task.id for task in flow.walk()} | {trigger.id for trigger in flow.triggers}
    ),
}


def _value(flow: Flow, path: str) -> object:
    if path in _COUNTS:
        return _COUNTS[path](flow)
    at: Any = flow
    for step in re.findall(r"\w+", path):
        if step == "size":
            return len(at)
        if step == "interval_seconds":
            at = at.interval.total_seconds()
        elif step.isdecimal():
            at = at[int(step)]
        elif isinstance(at, Retry) and step == "maxAttempt":
            at = at.max_attempts
        else:
            at = getattr(at, step)
    return at
