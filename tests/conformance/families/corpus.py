"""Every flow of the corpus: read it, and find its id, its namespace and its types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.conformance.cases import Case, Context, Outcome, failed, outcome
from tests.conformance.matchers import Matcher

from penstock_runner.expressions.check import check_expressions
from penstock_runner.flow.faults import Severity
from penstock_runner.flow.parse import parse_flow


def run(case: Case, context: Context) -> Outcome:
    """Parse one file; all but those meant to be invalid must be free of errors."""
    text = context.flow_path(case["file"]).read_text(encoding="utf-8")
    parsed = parse_flow(text, case["file"])
    faults = (*parsed.faults, *check_expressions(parsed))
    errors = [str(fault) for fault in faults if fault.severity is Severity.ERROR]
    if case["file"].startswith("invalids/"):
        # Made to be refused, some only by what is known of types; none may break the reader.
        return outcome(None if errors or parsed.flow else "neither a flow nor an error")
    if errors or parsed.flow is None or parsed.effective is None:
        return failed("; ".join(errors) or "no flow")
    expected = {"id": case["flow_id"], "namespace": case["namespace"]}
    got = {"id": parsed.flow.id, "namespace": parsed.flow.namespace}
    reason = Matcher(now=context.now).mismatch(expected, got)
    # The list was made from the text, so it names the types in descriptions and comments too.
    comments = "\n".join(re.findall(r"#.*", text))
    known = set(_types(parsed.document.data))
    missing = [name for name in case["types"] if name not in known and name not in comments]
    return outcome(reason or (f"types not found: {', '.join(missing)}" if missing else None))


def _types(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("type"), str):
            yield value["type"]
        for item in value.values():
            yield from _types(item)
    elif isinstance(value, list):
        for item in value:
            yield from _types(item)
    elif isinstance(value, str):
        yield from re.findall(r"type: (io\.kestra\.[\w.$]+)", value)
