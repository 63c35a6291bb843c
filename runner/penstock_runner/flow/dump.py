"""A flow as JSON, the way the API shows it: what was written, with present defaults of the flow.

Nulls are left out, also inside maps; those in lists stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from penstock_runner.flow.durations import to_iso
from penstock_runner.flow.model import Flow
from penstock_runner.flow.yaml import load_documents

_LABELLED = ("labels",)


def flow_json(flow: Flow, data: Mapping[str, object] | None = None) -> dict[str, object]:
    """The JSON of a flow from its plain data, which is read from its source when not given."""
    if data is None:
        documents = load_documents(flow.source)
        found = documents[0].data if documents else None
        data = found if isinstance(found, Mapping) else {}
    result: dict[str, object] = {"id": flow.id, "namespace": flow.namespace}
    if flow.revision is not None:
        result["revision"] = flow.revision
    result |= {"disabled": flow.disabled, "deleted": flow.deleted}
    for name, value in data.items():
        if name not in result and name not in _LABELLED and name != "revision":
            result[name] = without_nulls(value)
    if flow.labels:
        result["labels"] = [{"key": key, "value": value} for key, value in flow.labels.items()]
    return {name: value for name, value in result.items() if value is not None}


def without_nulls(value: object) -> object:
    """A value without the null entries of its maps; durations as text."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(item) for item in value]
    return to_iso(value) if isinstance(value, timedelta) else value
