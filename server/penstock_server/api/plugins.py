"""Types that flows can use, with their schemas."""

from __future__ import annotations

from collections import defaultdict

from flask import Blueprint, Response

from penstock_runner.flow.catalogue import TypeInfo, TypeKind
from penstock_runner.flow.schema import flow_schema
from penstock_runner.flow.types import INPUT_OPTIONS
from penstock_server.api import routing
from penstock_server.api.answers import json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.problems import not_found
from penstock_server.api.routing import get
from penstock_server.core.shapes import Json

DRAFT = "https://json-schema.org/draft/2019-09/schema"
LISTS: dict[TypeKind, str] = {
    "task": "tasks",
    "trigger": "triggers",
    "condition": "conditions",
    "taskrunner": "taskRunners",
    "other": "others",
}


class PluginRoutes:
    """The routes below `/plugins`."""

    def __init__(self, context: WebContext) -> None:
        self._registry = context.registry

    @get("")
    @get("/groups/subgroups")
    def groups(self) -> Response:
        """All types by group."""
        found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for kind, label in LISTS.items():
            for name in self._registry.names(kind):
                found[_group(name)][label].append(name)
        return json_answer(
            [
                {
                    "name": group,
                    "title": group.rpartition(".")[2],
                    "group": group,
                    **{label: lists.get(label, []) for label in LISTS.values()},
                }
                for group, lists in sorted(found.items())
            ]
        )

    @get("/schemas/<kind>")
    def schema(self, kind: str) -> Response:
        """The JSON schema of a flow, or of the tasks or triggers in it."""
        whole = dict(flow_schema(self._registry))
        parts = {"task": "tasks", "trigger": "triggers"}
        if kind == "flow":
            return json_answer(whole)
        if kind not in parts:
            raise not_found(f"there is no schema of '{kind}'")
        items = whole.get("properties", {}).get(parts[kind], {}).get("items", {})
        definitions = {key: whole[key] for key in ("$defs", "definitions") if key in whole}
        return json_answer({"$schema": whole.get("$schema", DRAFT), **items, **definitions})

    @get("/inputs")
    def inputs(self) -> Response:
        """The types of inputs."""
        return json_answer([{"type": name, "cls": name} for name in sorted(INPUT_OPTIONS)])

    @get("/inputs/<kind>")
    def input(self, kind: str) -> Response:
        """What one type of input takes besides what all take."""
        options = INPUT_OPTIONS.get(kind)
        if options is None:
            raise not_found(f"there is no input type '{kind}'")
        properties: Json = {name: {} for name in sorted(options)}
        schema = {"$schema": DRAFT, "type": "object", "properties": properties}
        return json_answer({"markdown": f"# {kind}", "schema": {"properties": schema}})

    @get("/icons")
    @get("/icons/groups")
    def icons(self) -> Response:
        """Types have no icons here."""
        return json_answer({})

    @get("/<name>")
    def one(self, name: str) -> Response:
        """One type: its description and its schema."""
        info = self._registry.find(name)
        if info is None:
            raise not_found(f"there is no type '{name}'")
        described = (info.properties.__doc__ or "") if info.properties is not None else ""
        return json_answer(
            {"markdown": f"# {info.name}\n\n{described}", "schema": {"properties": _schema(info)}}
        )


def blueprint(context: WebContext) -> Blueprint:
    """The routes below `/plugins`."""
    return routing.blueprint("plugins", "/plugins", PluginRoutes(context))


def _group(name: str) -> str:
    return ".".join(part for part in name.split(".")[:-1])


def _schema(info: TypeInfo) -> Json:
    if info.properties is None:
        return {"$schema": DRAFT, "type": "object"}
    return {"$schema": DRAFT, **info.properties.model_json_schema(by_alias=True)}
