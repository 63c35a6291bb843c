"""A flow as JSON, the way the API shows it: what was written, labels as pairs.

Nulls are left out, also inside maps; those in lists stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from penstock_runner.flow.durations import to_iso
from penstock_runner.flow.labels import read_labels


def flow_json(data: object) -> dict[str, object]:
    """The JSON of the data of a flow; empty for what is none."""
    if not isinstance(data, Mapping):
        return {}
    written = {name: without_nulls(item) for name, item in data.items() if item is not None}
    if "labels" in written:
        labels = read_labels(written["labels"])[0]
        written["labels"] = [{"key": key, "value": value} for key, value in labels.items()]
    return written


def without_nulls(value: object) -> object:
    """A value without the null entries of its maps; durations as text."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(item) for item in value]
    return to_iso(value) if isinstance(value, timedelta) else value
