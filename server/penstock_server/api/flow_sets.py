"""Many flows at once: a whole namespace, lists by name or query, archives in and out."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, request

from penstock_runner.flow.parse import Parsed
from penstock_runner.flow.yaml import load_documents
from penstock_server.api import parameters, routing
from penstock_server.api.actors import actor
from penstock_server.api.answers import counted, download, json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.flows import saved_to_json
from penstock_server.api.library import Library, flow_to_json
from penstock_server.api.problems import BulkRefused, Problem, illegal_argument, invalid_entity
from penstock_server.api.routing import delete, get, post
from penstock_server.api.sources import json_of, sources_of
from penstock_server.core.shapes import Json
from penstock_server.store import queries
from penstock_server.store.queries import FlowRecord

MAX_ENTRIES = 10_000
MAX_UNPACKED = 64 * 1024 * 1024
MAX_RATIO = 200

Name = tuple[str, str]


class FlowSetRoutes:
    """The routes below `/flows` about many flows."""

    def __init__(self, context: WebContext, library: Library) -> None:
        self._context = context
        self._library = library

    @post("/<namespace>")
    def replace_namespace(self, namespace: str) -> Response:
        """Save all flows of a namespace; those not listed are deleted unless `delete=false`."""
        return self._replace(
            namespace, delete=parameters.flag(request.args, "delete", default=True)
        )

    @post("/bulk")
    def replace_many(self) -> Response:
        """Save flows of any namespace; with `delete=true` all others of their namespaces go."""
        return self._replace(None, delete=parameters.flag(request.args, "delete", default=False))

    @delete("/delete/by-ids")
    def remove_named(self) -> Response:
        """Delete the flows named in the body."""
        return self._each(self._named("delete"), "flow.delete")

    @delete("/delete/by-query")
    def remove_found(self) -> Response:
        """Delete the flows that a query finds."""
        return self._each(self._found(), "flow.delete")

    @post("/disable/by-ids")
    def disable_named(self) -> Response:
        """Disable the flows named in the body."""
        return self._each(self._named("disable"), "flow.disable", disabled=True)

    @post("/disable/by-query")
    def disable_found(self) -> Response:
        """Disable the flows that a query finds."""
        return self._each(self._found(), "flow.disable", disabled=True)

    @post("/enable/by-ids")
    def enable_named(self) -> Response:
        """Enable the flows named in the body."""
        return self._each(self._named("enable"), "flow.disable", disabled=False)

    @post("/enable/by-query")
    def enable_found(self) -> Response:
        """Enable the flows that a query finds."""
        return self._each(self._found(), "flow.disable", disabled=False)

    @post("/export/by-ids")
    def export_named(self) -> Response:
        """The flows named in the body, as an archive."""
        return archive(self._named("export"))

    @get("/export/by-query")
    def export_found(self) -> Response:
        """The flows that a query finds, as an archive."""
        return archive(self._found())

    @post("/import")
    def take(self) -> Response:
        """Save the flows of a YAML file or an archive; what could not be imported is the answer."""
        file = request.files.get("fileUpload")
        if file is None:
            raise illegal_argument("the part fileUpload is needed: a .yaml, .yml or .zip file")
        name = (file.filename or "").lower()
        if name.endswith((".yaml", ".yml")):
            self._imported(split(_text(file.stream.read())))
            return json_answer([])
        if name.endswith(".zip"):
            return json_answer(self._unpacked(file.stream.read()))
        raise illegal_argument(f"Cannot import file of type .{name.rpartition('.')[2]}")

    def _replace(self, namespace: str | None, *, delete: bool) -> Response:
        sources = sources_of(request)
        parsed = [self._library.validated(source) for source in sources]
        _check_names(parsed, namespace)
        spaces = {one.flow.namespace for one in parsed if one.flow is not None}
        cleared = sorted(spaces if namespace is None else {namespace})
        answer = self._write(sources, clear=cleared if delete else [])
        gone = [
            flow_to_json(known, source=True)
            for removed_from, flow_id in answer["deleted"]
            if (known := self._library.find(removed_from, flow_id, deleted=True)) is not None
        ]
        told = zip(parsed, sources, answer["saved"], strict=True)
        return json_answer(gone + [saved_to_json(*one) for one in told])

    def _write(self, sources: Sequence[str], **more: Any) -> Json:
        """Have core write texts that were checked, in one transaction."""
        answer: Json = self._context.client.call(
            "flow.save_many",
            timeout=120,
            sources=list(sources),
            saved_by=actor(self._context),
            via="api",
            **more,
        )
        return answer

    def _imported(self, texts: Sequence[str]) -> None:
        """Save the flows of a file; one that is not valid, or may not be saved, refuses all."""
        parsed = [self._library.validated(text) for text in texts]
        _check_names(parsed, None)
        self._write(texts)

    def _unpacked(self, raw: bytes) -> list[str]:
        """Save the flows of an archive; the files that could not be taken."""
        refused: list[str] = []
        taken: dict[Name, tuple[str, str]] = {}
        for file, text in entries(raw):
            try:
                found = {_name(self._library.validated(one)): (file, one) for one in split(text)}
            except Problem:
                refused.append(file)
                continue
            taken |= found
        answer = self._write([text for _, text in taken.values()], skip=True)
        named = {(namespace, flow_id) for namespace, flow_id, _ in answer["refused"]}
        refused += [file for name, (file, _) in taken.items() if name in named]
        return list(dict.fromkeys(refused))

    def _named(self, action: str) -> list[FlowRecord]:
        names = names_in(json_of(request))
        found, invalids = [], []
        with self._context.database.read() as connection:
            for namespace, flow_id in names:
                record = queries.flow(connection, namespace, flow_id)
                if record is None:
                    told = {"message": "flow not found", "path": f"{namespace}.{flow_id}"}
                    invalids.append(told)
                else:
                    found.append(record)
        if invalids:
            raise BulkRefused(action, invalids)
        return found

    def _found(self) -> list[FlowRecord]:
        wanted = parameters.flow_filter(request.args)
        with self._context.database.read() as connection:
            return queries.all_flows(connection, wanted)

    def _each(self, records: Sequence[FlowRecord], operation: str, **more: Any) -> Response:
        for record in records:
            stored = record.stored
            self._context.client.call(operation, namespace=stored.namespace, id=stored.id, **more)
        return counted(len(records))


def blueprint(context: WebContext, library: Library) -> Blueprint:
    """The routes below `/flows` about many flows."""
    return routing.blueprint("flow_sets", "/flows", FlowSetRoutes(context, library))


def archive(records: Sequence[FlowRecord]) -> Response:
    """A ZIP with one `namespace-id.yml` a flow."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for record in records:
            stored = record.stored
            packed.writestr(f"{stored.namespace}-{stored.id}.yml", stored.source)
    return download(buffer.getvalue(), "flows.zip")


def entries(raw: bytes) -> list[tuple[str, str]]:
    """The YAML files of an archive; too much in it is refused before it is unpacked."""
    try:
        packed = zipfile.ZipFile(io.BytesIO(raw))
    except zipfile.BadZipFile:
        raise illegal_argument("the file is no ZIP archive") from None
    with packed:
        wanted = [
            info
            for info in packed.infolist()
            if not info.is_dir() and info.filename.lower().endswith((".yaml", ".yml"))
        ]
        size = sum(info.file_size for info in wanted)
        if len(wanted) > MAX_ENTRIES or size > min(MAX_UNPACKED, MAX_RATIO * len(raw) + 65536):
            raise Problem(413, "the archive holds too much: split it")
        try:
            return [(info.filename, _text(packed.read(info))) for info in wanted]
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError):
            raise illegal_argument("the archive cannot be unpacked") from None


def split(text: str) -> list[str]:
    """The documents of a YAML text, each as its own source."""
    documents = load_documents(text)
    return [one.source or one.text for one in documents if one.faults or one.data is not None]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8-sig", "replace")


def names_in(body: object) -> list[Name]:
    """The names that a body lists, each once."""
    if not isinstance(body, list):
        raise Problem(422, "a list of namespace and id is needed", reason="Invalid json mapping")
    names = []
    for item in body:
        namespace = item.get("namespace") if isinstance(item, Mapping) else None
        flow_id = item.get("id") if isinstance(item, Mapping) else None
        if not isinstance(namespace, str) or not isinstance(flow_id, str):
            raise Problem(422, "each item has a namespace and an id", reason="Invalid json mapping")
        names.append((namespace, flow_id))
    return list(dict.fromkeys(names))


def _name(parsed: Parsed) -> Name:
    flow = parsed.flow
    assert flow is not None  # noqa: S101 - a checked source has a flow
    return flow.namespace, flow.id


def _check_names(parsed: Sequence[Parsed], namespace: str | None) -> None:
    errors, seen = [], set()
    for one in parsed:
        flow = one.flow
        if flow is None:
            continue
        if namespace is not None and flow.namespace != namespace:
            errors.append({"path": "flow.namespace", "message": "Flow namespace is invalid"})
        if (flow.namespace, flow.id) in seen:
            errors.append({"path": "flow.id", "message": "Duplicate flow id"})
        seen.add((flow.namespace, flow.id))
    if errors:
        told = ", ".join(f"{error['path']}: {error['message']}" for error in errors)
        raise invalid_entity(told, errors)
