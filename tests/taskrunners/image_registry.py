"""A registry of images on loopback, for daemons of tests: one user, everything in memory."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

USER, PASSWORD = "ada", "s3cret-word"
LOGIN = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class Registry(ThreadingHTTPServer):
    """`manifests` by `name:reference`, `blobs` by digest; `refused` counts calls without login."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}
        self.numbers = itertools.count()
        self.refused = 0

    @property
    def name(self) -> str:
        """What names of its images begin with."""
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self._route()

    def do_HEAD(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def do_PUT(self) -> None:
        self._route()

    def do_PATCH(self) -> None:
        self._route()

    def _route(self) -> None:
        length = self.headers.get("Content-Length")
        body = self.rfile.read(int(length)) if length else self._chunks()
        if self.headers.get("Authorization") != LOGIN:
            self.server.refused += 1
            self._answer(401, more={"WWW-Authenticate": 'Basic realm="tests"'})
            return
        parts = urlsplit(self.path)
        if parts.path == "/v2/":
            self._answer(200, b"{}")
        elif found := re.fullmatch(r"/v2/(.+)/manifests/(.+)", parts.path):
            self._manifest(found[1], found[2], body)
        elif found := re.fullmatch(r"/v2/(.+)/blobs/uploads/(.*)", parts.path):
            self._upload(found[1], found[2], parse_qs(parts.query), body)
        elif found := re.fullmatch(r"/v2/(.+)/blobs/(.+)", parts.path):
            content = self.server.blobs.get(found[2])
            self._answer(404 if content is None else 200, content or b"")

    def _manifest(self, name: str, reference: str, body: bytes) -> None:
        if self.command == "PUT":
            digest = "sha256:" + hashlib.sha256(body).hexdigest()
            kind = self.headers.get("Content-Type", "")
            for key in (reference, digest):
                self.server.manifests[f"{name}:{key}"] = (kind, body)
            self._answer(201, more={"Docker-Content-Digest": digest})
            return
        kind, content = self.server.manifests.get(f"{name}:{reference}", ("", b""))
        if not content:
            self._answer(404, json.dumps({"errors": [{"code": "MANIFEST_UNKNOWN"}]}).encode())
            return
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self._answer(200, content, {"Content-Type": kind, "Docker-Content-Digest": digest})

    def _upload(self, name: str, number: str, query: dict[str, list[str]], body: bytes) -> None:
        if self.command == "POST":
            number = str(next(self.server.numbers))
        content = self.server.uploads[number] = self.server.uploads.get(number, b"") + body
        place = {"Location": f"/v2/{name}/blobs/uploads/{number}", "Docker-Upload-UUID": number}
        if self.command == "PUT":
            digest = query["digest"][0]
            self.server.blobs[digest] = content
            self._answer(201, more={"Docker-Content-Digest": digest})
        else:
            self._answer(202, more={**place, "Range": f"0-{max(0, len(content) - 1)}"})

    def _chunks(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return b""
        found = b""
        while size := int(self.rfile.readline().strip(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _answer(
        self, status: int, content: bytes = b"", more: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        for key, value in (more or {}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def registry() -> Iterator[Registry]:
    """A registry that listens; daemons speak plain HTTP to loopback."""
    with Registry() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
