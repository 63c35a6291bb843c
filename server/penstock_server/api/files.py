"""Files of executions: download, size, preview. Only what belongs to the execution is given."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, BinaryIO
from urllib.parse import unquote

import orjson
from flask import Blueprint, Response, request

from penstock_runner.engine.state import Execution
from penstock_runner.tasks.places import execution_of, execution_prefix, namespace_files, path_of
from penstock_server.api import parameters, routing
from penstock_server.api.answers import download, json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.executions import found
from penstock_server.api.problems import illegal_argument, not_found
from penstock_server.api.routing import get
from penstock_server.core.shapes import Json

CHUNK = 64 * 1024
PREVIEW_ROWS = 100
MAX_PREVIEW_ROWS = 5000
MAX_PREVIEW_BYTES = 1024 * 1024
IMAGES = frozenset({"jpg", "jpeg", "png", "gif", "webp"})
ROWS = frozenset({"ion", "jsonl", "ndjson"})
ENCODINGS = {"utf-8": "utf-8", "iso-8859-1": "latin-1", "utf-16": "utf-16", "us-ascii": "ascii"}


class FileRoutes:
    """The routes below `/executions/<id>/file`."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    @get("/<execution_id>/file")
    def file(self, execution_id: str) -> Response:
        """The file itself."""
        uri = self._address(execution_id)
        stream = self._context.storage.open(uri)
        answer = download(pieces(stream), unquote(uri.rpartition("/")[2]))
        answer.call_on_close(stream.close)
        return answer

    @get("/<execution_id>/file/metas")
    def metas(self, execution_id: str) -> Response:
        """How large the file is."""
        facts = self._context.storage.facts(self._address(execution_id))
        return json_answer({"size": facts.size})

    @get("/<execution_id>/file/preview")
    def preview(self, execution_id: str) -> Response:
        """The beginning of the file, in a form that can be shown."""
        uri = self._address(execution_id)
        rows = parameters.whole(request.args, "maxRows", PREVIEW_ROWS) or PREVIEW_ROWS
        if not 0 < rows <= MAX_PREVIEW_ROWS:
            raise illegal_argument(f"maxRows is between 1 and {MAX_PREVIEW_ROWS}")
        encoding = ENCODINGS.get(request.args.get("encoding", "UTF-8").lower())
        if encoding is None:
            raise illegal_argument(f"encoding is one of {', '.join(ENCODINGS)}")
        raw = self._context.storage.read_bytes(uri, MAX_PREVIEW_BYTES + 1)
        return json_answer(shown(uri, raw, rows, encoding))

    def _address(self, execution_id: str) -> str:
        """The address asked for, checked to be a file of this execution or its namespace."""
        execution = found(self._context, execution_id)
        uri = parameters.required(request.args, "path")
        if uri.startswith("/"):
            uri = f"kestra://{uri}"
        check_belongs(execution, uri)
        return uri


def blueprint(context: WebContext) -> Blueprint:
    """The routes below `/executions/<id>/file`."""
    return routing.blueprint("files", "/executions", FileRoutes(context))


def check_belongs(execution: Execution, uri: str) -> None:
    """Refuse an address outside the execution's own files and its namespace's."""
    if not uri.startswith("kestra:///") or ".." in unquote(uri) or "\0" in uri:
        raise illegal_argument(f"Invalid prefix path, '{uri[:200]}' is no file of the storage")
    path = path_of(uri)
    owned = {execution.id, execution.original_id, execution.parent_id} - {None}
    own = [
        path_of(execution_prefix(execution.namespace, execution.flow_id, str(name)))
        for name in owned
    ]
    own.append(path_of(namespace_files(execution.namespace)))
    if any(path.startswith(prefix + "/") for prefix in own):
        return
    other = execution_of(uri)
    if other is not None and other not in owned:
        raise not_found(f"Unable to find the file of execution id '{other}'")
    raise illegal_argument(f"Invalid prefix path, '{uri[:200]}' is no file of this execution")


def shown(uri: str, raw: bytes, rows: int, encoding: str) -> Json:
    """What a page can show of the beginning of a file."""
    extension = uri.rpartition("/")[2].rpartition(".")[2].lower()
    cut = len(raw) > MAX_PREVIEW_BYTES
    if extension in IMAGES:
        content: Any = base64.b64encode(raw).decode()
        return {"extension": extension, "type": "IMAGE", "content": content, "truncated": cut}
    if extension == "pdf":
        content = base64.b64encode(raw).decode()
        return {"extension": extension, "type": "PDF", "content": content, "truncated": cut}
    lines = raw[:MAX_PREVIEW_BYTES].decode(encoding, "replace").splitlines()
    cut = cut or len(lines) > rows
    lines = lines[:rows]
    if extension in ROWS:
        content = [_row(line) for line in lines if line.strip()]
        return {"extension": extension, "type": "LIST", "content": content, "truncated": cut}
    kind = "MARKDOWN" if extension == "md" else "TEXT"
    return {"extension": extension, "type": kind, "content": "\n".join(lines), "truncated": cut}


def pieces(stream: BinaryIO) -> Iterator[bytes]:
    """A file piece by piece."""
    while piece := stream.read(CHUNK):
        yield piece


def _row(line: str) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return line
