"""Templates: a few tasks under a name, which flows bring in with a task of type Template."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

from flask import Blueprint, Response, request

from penstock_runner.flow.dump import flow_json
from penstock_runner.flow.faults import Fault, Severity
from penstock_runner.flow.parse import Parsed, parse_documents, parse_flow
from penstock_runner.flow.templates import template_faults
from penstock_server.api import parameters, routing
from penstock_server.api.answers import counted, download, empty, json_answer, paged
from penstock_server.api.context import WebContext
from penstock_server.api.flow_sets import entries, names_in, split
from penstock_server.api.library import Library, invalid_flow
from penstock_server.api.problems import BulkRefused, illegal_argument, invalid_entity, not_found
from penstock_server.api.routing import delete, get, post, put
from penstock_server.api.sources import json_of, source_of, sources_of
from penstock_server.api.validation import judgement
from penstock_server.core.shapes import Json, without_nulls
from penstock_server.store import templates
from penstock_server.store.templates import StoredTemplate, TemplateFilter


class TemplateRoutes:
    """The routes below `/templates`."""

    def __init__(self, context: WebContext, library: Library) -> None:
        self._context = context
        self._library = library

    @post("")
    def create(self) -> Response:
        """Save a new template."""
        source = source_of(request)
        parsed = self._validated(source)
        return self._saved(parsed, source, "create")

    @get("/<namespace>/<template_id>")
    def show(self, namespace: str, template_id: str) -> Response:
        """One template."""
        return json_answer(_to_json(self._found(namespace, template_id)))

    @put("/<namespace>/<template_id>")
    def change(self, namespace: str, template_id: str) -> Response:
        """Save a template again; its id and namespace stay."""
        self._found(namespace, template_id)
        source = source_of(request)
        parsed = self._validated(source)
        _check_same_name(_name(parsed), (namespace, template_id))
        return self._saved(parsed, source, "update")

    @delete("/<namespace>/<template_id>")
    def remove(self, namespace: str, template_id: str) -> Response:
        """Delete a template; executions that have begun to use it go on with it."""
        self._found(namespace, template_id)
        self._removed([(namespace, template_id)])
        return empty()

    @get("/search")
    def search(self) -> Response:
        """Templates of a filter, one page."""
        with self._context.database.read() as connection:
            found, total = templates.page(connection, _filter(), parameters.paging(request.args))
        return paged([_to_json(one) for one in found], total)

    @get("/distinct-namespaces")
    def namespaces(self) -> Response:
        """Namespaces that have a template."""
        with self._context.database.read() as connection:
            return json_answer(templates.namespaces(connection))

    @post("/<namespace>")
    def replace_namespace(self, namespace: str) -> Response:
        """Save all templates of a namespace; others are deleted unless `delete=false`."""
        sources = sources_of(request)
        parsed = [self._validated(source) for source in sources]
        names = [_name(one) for one in parsed]
        _check_names(names, namespace)
        self._context.client.call(
            "template.replace_namespace",
            namespace=namespace,
            templates=[
                {"namespace": name[0], "id": name[1], "source": source}
                for name, source in zip(names, sources, strict=True)
            ],
            delete=parameters.flag(request.args, "delete", default=True),
        )
        return json_answer([_data_to_json(one) for one in parsed])

    @post("/validate")
    def validate(self) -> Response:
        """Judge every template of a YAML text or a JSON list, without saving."""
        parsed = parse_documents("\n---\n".join(sources_of(request)))
        answers = []
        for index, one in enumerate(parsed):
            data = one.document.data if isinstance(one.document.data, dict) else {}
            answer = {"index": index, "namespace": data.get("namespace"), "flow": data.get("id")}
            answers.append(without_nulls({**answer, **judgement(one, self._faults(one))}))
        return json_answer(answers)

    @get("/export/by-query")
    def export_found(self) -> Response:
        """The templates that a query finds, as an archive."""
        return _archive(self._matching())

    @post("/export/by-ids")
    def export_named(self) -> Response:
        """The templates named in the body, as an archive."""
        return _archive(self._named("export"))

    @delete("/delete/by-query")
    def remove_found(self) -> Response:
        """Delete the templates that a query finds."""
        return counted(self._removed([(one.namespace, one.id) for one in self._matching()]))

    @delete("/delete/by-ids")
    def remove_named(self) -> Response:
        """Delete the templates named in the body."""
        return counted(self._removed([(one.namespace, one.id) for one in self._named("delete")]))

    @post("/import")
    def take(self) -> Response:
        """Save the templates of a YAML file or an archive."""
        file = request.files.get("fileUpload")
        name = "" if file is None else (file.filename or "").lower()
        if file is None or not name.endswith((".yaml", ".yml", ".zip")):
            raise illegal_argument("the part fileUpload is needed: a .yaml, .yml or .zip file")
        raw = file.stream.read()
        texts = [text for _, text in entries(raw)] if name.endswith(".zip") else [_text(raw)]
        sources = [source for text in texts for source in split(text)]
        for parsed, source in [(self._validated(source), source) for source in sources]:
            self._save(parsed, source, "upsert")
        return empty()

    def _faults(self, parsed: Parsed) -> Sequence[Fault]:
        return [*self._library.faults(parsed), *template_faults(parsed)]

    def _validated(self, source: str) -> Parsed:
        parsed = parse_flow(source)
        faults = self._faults(parsed)
        if any(fault.severity is Severity.ERROR for fault in faults):
            raise invalid_flow(faults, parsed.document.data)
        return parsed

    def _saved(self, parsed: Parsed, source: str, mode: str) -> Response:
        self._save(parsed, source, mode)
        return json_answer(_data_to_json(parsed))

    def _save(self, parsed: Parsed, source: str, mode: str) -> None:
        namespace, template_id = _name(parsed)
        self._context.client.call(
            "template.save", namespace=namespace, id=template_id, source=source, mode=mode
        )

    def _removed(self, names: Sequence[tuple[str, str]]) -> int:
        return int(self._context.client.call("template.delete", names=[list(n) for n in names]))

    def _found(self, namespace: str, template_id: str) -> StoredTemplate:
        with self._context.database.read() as connection:
            found = templates.get(connection, namespace, template_id)
        if found is None:
            raise not_found()
        return found

    def _matching(self) -> list[StoredTemplate]:
        with self._context.database.read() as connection:
            return templates.matching(connection, _filter())

    def _named(self, action: str) -> list[StoredTemplate]:
        names = names_in(json_of(request))
        with self._context.database.read() as connection:
            found = {name: templates.get(connection, *name) for name in names}
        missing = [".".join(name) for name, one in found.items() if one is None]
        if missing:
            told = [{"message": "template not found", "path": name} for name in missing]
            raise BulkRefused(action, told)
        return [one for one in found.values() if one is not None]


def blueprint(context: WebContext, library: Library) -> Blueprint:
    """The routes below `/templates`."""
    return routing.blueprint("templates", "/templates", TemplateRoutes(context, library))


def _filter() -> TemplateFilter:
    args = request.args
    return TemplateFilter(namespace=args.get("namespace") or None, text=args.get("q") or None)


def _to_json(template: StoredTemplate) -> Json:
    return _data_to_json(parse_flow(template.source, strict=False))


def _data_to_json(parsed: Parsed) -> Json:
    return {**flow_json(parsed.document.data), "deleted": False}


def _name(parsed: Parsed) -> tuple[str, str]:
    assert parsed.flow is not None  # noqa: S101 - a checked source has a name
    return parsed.flow.namespace, parsed.flow.id


def _check_same_name(now: tuple[str, str], before: tuple[str, str]) -> None:
    words = (("namespace", "Illegal namespace update"), ("id", "Illegal template id update"))
    errors = [
        {"path": f"template.{name}", "message": message}
        for (name, message), one, other in zip(words, now, before, strict=True)
        if one != other
    ]
    _refuse(errors)


def _check_names(names: Sequence[tuple[str, str]], namespace: str) -> None:
    errors = [
        {"path": "template.namespace", "message": "Template namespace is invalid"}
        for name in names
        if name[0] != namespace
    ]
    if len(set(names)) < len(names):
        errors.append({"path": "template.id", "message": "Duplicate template id"})
    _refuse(errors)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise illegal_argument("the file is not UTF-8") from None


def _refuse(errors: Sequence[Json]) -> None:
    if errors:
        told = ", ".join(f"{error['path']}: {error['message']}" for error in errors)
        raise invalid_entity(told, errors)


def _archive(found: Sequence[StoredTemplate]) -> Response:
    """A ZIP with one `namespace-id.yml` a template."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for one in found:
            packed.writestr(f"{one.namespace}-{one.id}.yml", one.source)
    return download(buffer.getvalue(), "templates.zip")
