from __future__ import annotations

import json
from typing import Any

from tests.flow.shelf import LOG, SHELL, Shelf

from penstock_runner.flow.catalogue import TypeKind
from penstock_runner.flow.schema import flow_schema


class Listed(Shelf):
    def names(self, kind: TypeKind | None = None) -> list[str]:
        return [LOG, SHELL] if kind == "task" else []


def references(value: Any) -> set[str]:
    """All names that a schema refers to."""
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(item) for item in value.values()))
    return set().union(*(references(item) for item in value)) if isinstance(value, list) else set()


def test_the_schema_is_json_and_refers_only_to_what_it_defines() -> None:
    schema = json.loads(json.dumps(flow_schema(Listed())))
    known = {f"#/definitions/{name}" for name in schema["definitions"]}
    assert references(schema) <= known


def test_types_bring_their_properties_and_allow_expressions() -> None:
    definitions = flow_schema(Listed())["definitions"]
    log = definitions[LOG]
    assert log["additionalProperties"] is False
    assert {"message", "level", "repeat", "retry", "runIf"} <= log["properties"].keys()
    assert {"type": "string"} in log["properties"]["repeat"]["anyOf"]


def test_flowables_hold_tasks() -> None:
    definitions = flow_schema(Listed())["definitions"]
    switch = definitions["io.kestra.plugin.core.flow.Switch"]["properties"]
    assert switch["defaults"]["items"] == {"$ref": "#/definitions/task"}
    assert switch["cases"]["additionalProperties"]["type"] == "array"
