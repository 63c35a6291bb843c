"""The HTTP server that a case describes: routes with a status, headers and a body.

A body in `<>` says what of the request to give back: `<form field x>`, `<header x>`,
`<content of x>`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

Routes = Mapping[str, Mapping[str, Any]]
_ECHO = re.compile(r"<(form field|header|content of) ([\w-]+)>")


@contextmanager
def serving(routes: Routes) -> Iterator[str]:
    """The address of a server with these routes."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(routes))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(routes: Routes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            route = routes.get(f"{self.command} {self.path.partition('?')[0]}", {"status": 404})
            fields = _fields(self.headers, content)
            body = _filled(str(route.get("body", "")), self.headers, fields).encode()
            self.send_response(int(route.get("status", 200)))
            for name, value in (route.get("headers") or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815
        do_PATCH = do_HEAD = do_OPTIONS = answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    return Handler


def _filled(text: str, headers: Message, fields: Mapping[str, str]) -> str:
    def echoed(found: re.Match[str]) -> str:
        kind, name = found.groups()
        return headers.get(name, "") if kind == "header" else fields.get(name, "")

    return _ECHO.sub(echoed, text)


def _fields(headers: Message, content: bytes) -> dict[str, str]:
    kind = headers.get("Content-Type", "")
    if not kind.startswith("multipart/"):
        return {name: values[0] for name, values in parse_qs(content.decode("latin-1")).items()}
    message = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + content)
    found: dict[str, str] = {}
    for part in message.get_payload():
        assert isinstance(part, Message)
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        name = part.get_param("name", header="content-disposition")
        found[str(name)] = payload.decode().strip("\r\n")
    return found
