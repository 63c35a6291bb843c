"""Files of namespaces; what is put below `/_flows` becomes a flow.

The storage knows files only, so an empty folder is a file of a reserved name in it that no list
shows.
"""

from __future__ import annotations

import io
import re
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePosixPath
from typing import IO, BinaryIO, cast

from flask import Blueprint, Response, request

from penstock_runner.tasks import places
from penstock_runner.tasks.namespace_files import NamespaceStorage
from penstock_runner.tasks.storage import FileFacts
from penstock_server.api import parameters, routing
from penstock_server.api.answers import download, empty, json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.files import pieces
from penstock_server.api.flows import save
from penstock_server.api.library import Library
from penstock_server.api.problems import Problem, illegal_argument, not_found
from penstock_server.api.routing import delete, get, post, put
from penstock_server.core.shapes import Json

FOLDER_MARK = ".penstock-folder"
FLOWS = "/_flows"
MAX_PATH = 1000
MAX_ENTRIES = 10_000
MAX_UNPACKED = 512 * 1024 * 1024
MAX_FLOW = 4 * 1024 * 1024
_NAMESPACE_LINE = re.compile(r"^namespace:.*$", re.MULTILINE)


class NamespaceFileRoutes:
    """The routes below `/namespaces/<namespace>/files`."""

    def __init__(self, context: WebContext, library: Library) -> None:
        self._context = context
        self._storage = context.storage
        self._library = library

    @get("/<namespace>/files/search")
    def search(self, namespace: str) -> Response:
        """Paths that hold a text."""
        wanted = parameters.required(request.args, "q").lower()
        paths = sorted(path for path, _ in self._files(namespace))
        return json_answer([path for path in paths if wanted in path.lower()])

    @get("/<namespace>/files")
    def content(self, namespace: str) -> Response:
        """One file."""
        path = checked(parameters.required(request.args, "path"))
        stream = self._storage.open(address(namespace, path))
        answer = download(pieces(stream), PurePosixPath(path).name)
        answer.call_on_close(stream.close)
        return answer

    @get("/<namespace>/files/stats")
    def stats(self, namespace: str) -> Response:
        """What is known of a file or folder; the root is always there."""
        path = checked(request.args.get("path") or "/")
        if path == "/":
            return json_answer(folder_to_json("_files", None))
        uri = address(namespace, path)
        if not self._storage.exists(uri):
            raise not_found(f"File not found: {path}")
        return json_answer(facts_to_json(self._storage.facts(uri)))

    @get("/<namespace>/files/directory")
    def listing(self, namespace: str) -> Response:
        """Files and folders in a folder; none when the root is missing."""
        path = checked(request.args.get("path") or "/")
        if path != "/" and not self._storage.exists(address(namespace, path)):
            raise not_found(f"File not found: {path}")
        return json_answer(self._children(namespace, path))

    @post("/<namespace>/files/directory")
    def make_folder(self, namespace: str) -> Response:
        """Make a folder."""
        path = checked(request.args.get("path") or "/")
        self._storage.put_bytes(address(namespace, f"{path}/{FOLDER_MARK}"), b"")
        return empty(200)

    @post("/<namespace>/files")
    def write(self, namespace: str) -> Response:
        """Write a file; an archive is unpacked, a flow below `/_flows` is saved."""
        given = parameters.required(request.args, "path")
        file = request.files.get("fileContent")
        if file is None:
            raise illegal_argument("the part fileContent is needed")
        path = normal(given)
        if path.startswith(FLOWS + "/"):
            self._save_flow(namespace, file.stream.read(MAX_FLOW + 1))
        elif path.lower().endswith(".zip"):
            self._unpack(namespace, file.stream)
        else:
            uri = address(namespace, checked(given))
            self._storage.put_stream(uri, cast(BinaryIO, file.stream))
        return empty(200)

    @put("/<namespace>/files")
    def move(self, namespace: str) -> Response:
        """Move a file, or a folder with all in it."""
        source = checked(parameters.required(request.args, "from"))
        target = checked(parameters.required(request.args, "to"))
        if "/" in {source, target} or f"{target}/".startswith(f"{source}/"):
            raise illegal_argument(f"cannot move '{source}' to '{target}'")
        from_uri, to_uri = address(namespace, source), address(namespace, target)
        if not self._storage.exists(from_uri):
            raise not_found(f"File not found: {source}")
        self._check_free(from_uri, to_uri)
        for facts in list(self._storage.walk(from_uri)):
            with self._storage.open(facts.uri) as stream:
                self._storage.put_stream(to_uri + facts.uri.removeprefix(from_uri), stream)
        self._storage.delete(from_uri)
        return empty(200)

    @delete("/<namespace>/files")
    def remove(self, namespace: str) -> Response:
        """Delete a file or a folder; a folder that is left empty goes too, the root stays."""
        path = checked(parameters.required(request.args, "path"))
        if path == "/":
            raise illegal_argument("the root of the files cannot be deleted")
        deleted = self._storage.delete(address(namespace, path))
        for above in PurePosixPath(path).parents:
            uri = address(namespace, str(above))
            if str(above) == "/" or next(iter(self._storage.walk(uri)), None) is not None:
                break
            self._storage.delete(uri)
        return json_answer(deleted)

    @get("/<namespace>/files/export")
    def export(self, namespace: str) -> Response:
        """All files as an archive."""
        spooled = tempfile.SpooledTemporaryFile(max_size=16 * 1024 * 1024)  # noqa: SIM115
        with zipfile.ZipFile(spooled, "w", zipfile.ZIP_DEFLATED) as packed:
            for path, facts in self._files(namespace):
                with self._storage.open(facts.uri) as stream, packed.open(path[1:], "w") as out:
                    for piece in pieces(stream):
                        out.write(piece)
        spooled.seek(0)
        answer = download(pieces(cast(BinaryIO, spooled)), f"{namespace}_files.zip")
        answer.call_on_close(spooled.close)
        return answer

    def _check_free(self, *uris: str) -> None:
        """Nothing is done in part: what a Git source keeps is refused before all else."""
        if isinstance(self._storage, NamespaceStorage):
            for uri in uris:
                self._storage.check_free(uri)

    def _files(self, namespace: str) -> Iterator[tuple[str, FileFacts]]:
        root = places.namespace_files(namespace)
        for facts in self._storage.walk(root):
            if facts.name != FOLDER_MARK:
                yield facts.uri.removeprefix(root), facts

    def _children(self, namespace: str, path: str) -> list[Json]:
        top = address(namespace, path).rstrip("/")
        folders: dict[str, datetime] = {}
        files = []
        for facts in self._storage.walk(top):
            first, below, _ = facts.uri.removeprefix(top + "/").partition("/")
            if below:
                folders[first] = max(folders.get(first, facts.modified), facts.modified)
            elif facts.name != FOLDER_MARK:
                files.append(facts_to_json(facts))
        return [folder_to_json(name, folders[name]) for name in sorted(folders)] + files

    def _save_flow(self, namespace: str, raw: bytes) -> None:
        if len(raw) > MAX_FLOW:
            raise Problem(413, "the flow is too large")
        text = raw.decode("utf-8-sig", "replace")
        source = _NAMESPACE_LINE.sub(f"namespace: {namespace}", text, count=1)
        save(self._context, self._library.validated(source), source, mode="upsert")

    def _unpack(self, namespace: str, stream: IO[bytes]) -> None:
        try:
            with zipfile.ZipFile(io.BytesIO(stream.read())) as packed:
                infos = [info for info in packed.infolist() if not info.is_dir()]
                if len(infos) > MAX_ENTRIES or sum(i.file_size for i in infos) > MAX_UNPACKED:
                    raise Problem(413, "the archive holds too much: split it")
                paths = [checked(info.filename) for info in infos]
                self._check_free(*(address(namespace, path) for path in paths))
                for info, path in zip(infos, paths, strict=True):
                    with packed.open(info) as entry:
                        self._storage.put_stream(address(namespace, path), cast(BinaryIO, entry))
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError):
            raise illegal_argument("the file is no ZIP archive that can be unpacked") from None


def blueprint(context: WebContext, library: Library) -> Blueprint:
    """The routes below `/namespaces/<namespace>/files`."""
    return routing.blueprint("nsfiles", "/namespaces", NamespaceFileRoutes(context, library))


def address(namespace: str, path: str) -> str:
    """Where a checked path of a namespace is in the storage."""
    if path == "/":
        return places.namespace_files(namespace)
    return places.namespace_file(namespace, path)


def normal(path: str) -> str:
    """A path with one leading slash and none at its end."""
    return "/" + "/".join(part for part in path.split("/") if part not in {"", "."})


def checked(path: str) -> str:
    """A path that may be used; what leaves the files or is reserved is refused."""
    found = normal(path)
    if found == FLOWS or found.startswith(FLOWS + "/"):
        raise illegal_argument(f"Forbidden path: {found}")
    if ".." in found or "\\" in found or "\0" in found or len(found) > MAX_PATH:
        raise illegal_argument(f"Invalid path: {found[:200]!r}")
    if any(len(part.encode()) > 250 for part in found.split("/")):
        raise illegal_argument("Invalid path: a name is too long")
    return found


def facts_to_json(facts: FileFacts) -> Json:
    """A file or folder."""
    if facts.directory:
        return folder_to_json(facts.name, facts.modified)
    millis = int(facts.modified.timestamp() * 1000)
    return {
        "type": "File",
        "fileName": facts.name,
        "size": facts.size,
        "lastModifiedTime": millis,
        "creationTime": millis,
    }


def folder_to_json(name: str, modified: datetime | None) -> Json:
    """A folder."""
    answer: Json = {"type": "Directory", "fileName": name, "size": 0}
    if modified is not None:
        millis = int(modified.timestamp() * 1000)
        answer |= {"lastModifiedTime": millis, "creationTime": millis}
    return answer
