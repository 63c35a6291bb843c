"""What a flow names outside of itself, on its way from the child of a look to core."""

from __future__ import annotations

from typing import Any

from penstock_runner.flow.faults import Fault
from penstock_runner.flow.parse import Parsed
from penstock_runner.flow.references import references


def named_in(parsed: Parsed, namespace: str) -> list[Fault]:
    """What a flow names, in the shape of faults, so that places are put right as for those."""
    return [
        Fault(
            code=one.kind,
            message=one.name,
            flow=one.namespace,
            path=parsed.document.path,
            line=one.line,
            column=one.column,
            pointer=one.pointer,
        )
        for one in references(parsed.document, namespace)
    ]


def reference_data(named: Fault) -> dict[str, Any]:
    """A reference as plain data."""
    return {
        "kind": named.code,
        "namespace": named.flow,
        "name": named.message,
        "path": named.path,
        "line": named.line,
        "column": named.column,
        "pointer": named.pointer,
    }
