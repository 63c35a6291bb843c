"""A stand-in for an object store on loopback: one bucket, as S3 and Google Cloud Storage show it.

Both speak the same XML; Google's deletes one object a call, and says when one was not there.
Signatures are not checked.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from re import findall
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

NAME = "pipelines"
WHEN = "2026-03-01T12:00:00.000Z"
SMALL_PAGE = 2


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    parts: dict[int, bytes]
    seen: list[str]
    answers: list[int]

    def log_message(self, *_: object) -> None: ...

    def do_PUT(self) -> None:
        content = self._body()
        if self._refused():
            return
        part = parse_qs(urlsplit(self.path).query).get("partNumber")
        if part:
            self.parts[int(part[0])] = content
        else:
            self.objects[self._key()] = content
        self._answer(200)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self._refused():
            return
        parts = urlsplit(self.path)
        if "list-type" in parts.query:
            self._answer(200, self._listed(parse_qs(parts.query)))
        elif (content := self.objects.get(self._key())) is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            asked = findall(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if asked:
                first, last = map(int, asked[0])
                part = content[first : last + 1]
                self._answer(206, part, f"bytes {first}-{first + len(part) - 1}/{len(content)}")
            else:
                self._answer(200, content)

    def do_POST(self) -> None:
        body = self._body().decode()
        if self._refused():
            return
        query = urlsplit(self.path).query
        if query.startswith("uploads"):
            self.parts.clear()
            self._answer(200, _result("InitiateMultipartUploadResult", UploadId="u"))
            return
        if "uploadId" in query:
            self.objects[self._key()] = b"".join(self.parts[n] for n in sorted(self.parts))
            self._answer(200, _result("CompleteMultipartUploadResult", ETag="x"))
            return
        keys = findall(r"<Key>(.*?)</Key>", body)
        for key in keys:
            self.objects.pop(key, None)
        gone = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{gone}</DeleteResult>".encode())

    def do_DELETE(self) -> None:
        if not self._refused():
            self._answer(404 if self.objects.pop(self._key(), None) is None else 204)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _refused(self) -> bool:
        """Whether the call gets the next of the answers that a test asked for."""
        self.seen.append(f"{self.command} {self.path}")
        if not self.answers:
            return False
        self._answer(self.answers.pop(0), b"<Error><Code>SlowDown</Code></Error>")
        return True

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix(f"/{NAME}/")

    def _listed(self, query: dict[str, list[str]]) -> bytes:
        """A page of the keys below a prefix; small pages show whether all of them are asked for."""
        prefix = query.get("prefix", [""])[0]
        after = query.get("continuation-token", [""])[0]
        keys = [key for key in sorted(self.objects) if key.startswith(prefix) and key > after]
        page = keys[:SMALL_PAGE]
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{WHEN}</LastModified>"
            f"<ETag>x</ETag><Size>{len(self.objects[key])}</Size></Contents>"
            for key in page
        )
        more = len(keys) > SMALL_PAGE
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        return (
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}"
            "</ListBucketResult>"
        ).encode()

    def _answer(self, status: int, content: bytes = b"", part: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", '"x"')
        self.send_header("x-goog-generation", "1")
        self.send_header("Last-Modified", "Sun, 01 Mar 2026 12:00:00 GMT")
        if part:
            self.send_header("Content-Range", part)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _result(name: str, **fields: str) -> bytes:
    inside = "".join(f"<{key}>{value}</{key}>" for key, value in fields.items())
    more = f"<Bucket>{NAME}</Bucket><Key>k</Key>"
    return f"<{name}>{more}{inside}</{name}>".encode()


@contextmanager
def bucket(
    answers: list[int] | None = None, seen: list[str] | None = None
) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The address of a store with one bucket, and what is in it.

    The first calls get `answers`, statuses instead of what they ask for; all are in `seen`.
    """
    objects: dict[str, bytes] = {}
    own = {"objects": objects, "parts": {}, "seen": [] if seen is None else seen}
    handler = type("Served", (Handler,), {**own, "answers": answers or []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", objects
        server.shutdown()
