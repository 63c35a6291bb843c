"""What in a flow asks for labels that no runner offers: warnings, since a runner may come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from penstock_runner.flow.document import Document
from penstock_runner.flow.faults import Fault, Severity
from penstock_runner.flow.offers import Demand, Offer, why_unmatched
from penstock_runner.flow.routing import BadRoute, read_route

SPELLINGS = {
    "runsOn": "runs_on",
    "runs-on": "runs_on",
    "workerGroup": "worker_group",
    "workerSelector": "worker_selector",
}


def unmatched(document: Document, runners: Mapping[str, Offer]) -> list[Fault]:
    """A warning for every place; what only an expression knows is not judged.

    Nor is the ref that a flow will come from: it may be a protected one.
    """
    found: list[Fault] = []
    data = document.data
    namespace = str(data.get("namespace") or "") if isinstance(data, Mapping) else ""
    for pointer, name, asked in _routes(document.data, ""):
        if "{{" in repr(asked):
            continue
        try:
            required = read_route({name: asked}).required
            demand = Demand(required=required, namespace=namespace, protected=True)
            reason = why_unmatched(demand, runners)
        except BadRoute:
            continue  # the check of the flow says so
        if reason is not None:
            fault = document.fault("NO_RUNNER_MATCHES", reason, pointer)
            found.append(replace(fault, severity=Severity.WARNING))
    return found


def _routes(data: object, pointer: str) -> Iterator[tuple[str, str, object]]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            below = f"{pointer}/{key}"
            if key in SPELLINGS and value is not None:
                yield below, SPELLINGS[str(key)], value
            elif isinstance(value, Mapping | list):
                yield from _routes(value, below)
    elif isinstance(data, list):
        for index, item in enumerate(data):
            yield from _routes(item, f"{pointer}/{index}")
