"""A stand-in for the Docker daemon: speaks its API on a Unix socket and runs commands as processes.

It knows one image, `present`, and any that was pulled. The folder of a job has the same path
inside and outside, so a "container" is simply a process in that folder; files are still copied in
and out.
"""

from __future__ import annotations

import io
import json
import os
import signal
import socketserver
import struct
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Container:
    """One command that a client has asked for."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self.wanted = wanted
        self.started = threading.Event()
        self.process: subprocess.Popen[bytes] | None = None
        self.archives: list[bytes] = []
        self.removed = False
        self.signals: list[str] = []

    def start(self) -> None:
        self.process = subprocess.Popen(
            [*(self.wanted.get("Entrypoint") or []), *self.wanted["Cmd"]],
            env={"PATH": os.environ["PATH"], **dict(e.split("=", 1) for e in self.wanted["Env"])},
            cwd=self.wanted["WorkingDir"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.started.set()


class Daemon(socketserver.ThreadingUnixStreamServer):
    """Listens until closed; `containers` are all that were made."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.containers: dict[str, Container] = {}
        self.pulled: list[str] = []
        self.pulling = threading.Event()
        self.given_up = threading.Event()
        self.host = f"unix://{path}"
        super().__init__(str(path), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    server: Daemon
    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "client"

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self.route("GET")

    def do_POST(self) -> None:
        self.route("POST")

    def do_PUT(self) -> None:
        self.route("PUT")

    def do_DELETE(self) -> None:
        self.route("DELETE")

    def route(self, method: str) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        words = [word for word in parts.path.split("/") if word and not word.startswith("v1.")]
        body = self.body()
        match method, words:
            case "GET", ["_ping"]:
                self.answer("OK", headers={"Api-Version": "1.45"})
            case "GET", ["version"]:
                self.answer({"ApiVersion": "1.45", "Version": "26"})
            case "GET", ["images", name, "json"]:
                bare = name.partition(":")[0]
                known = bare.startswith("present") or bare in self.server.pulled
                self.answer(
                    {"Id": name} if known else {"message": "no such image"}, 200 if known else 404
                )
            case "POST", ["images", "create"]:
                self.pull(query["fromImage"])
            case "POST", ["containers", "create"]:
                name = f"c{len(self.server.containers)}"
                self.server.containers[name] = Container(json.loads(body))
                self.answer({"Id": name, "Warnings": []}, 201)
            case "GET", ["containers", "json"]:
                self.answer(
                    [
                        {"Id": name, "Labels": one.wanted.get("Labels")}
                        for name, one in self.server.containers.items()
                        if not one.removed
                    ]
                )
            case "GET", ["networks"]:
                self.answer([])
            case _, ["containers", name, *rest]:
                self.container(method, self.server.containers[name], name, rest, query, body)
            case _:
                self.answer({"message": f"nobody knows {method} {parts.path} here"}, 404)

    def container(
        self,
        method: str,
        of: Container,
        name: str,
        rest: list[str],
        query: dict[str, str],
        body: bytes,
    ) -> None:
        match method, rest:
            case "GET", ["json"]:
                config = {"Labels": of.wanted.get("Labels"), "Tty": False}
                self.answer({"Id": name, "Config": config, "State": {"OOMKilled": False}})
            case "PUT", ["archive"]:
                of.archives.append(body)
                self.answer(None)
            case "GET", ["changes"]:
                folder = Path(of.wanted["WorkingDir"]).parent
                self.answer([{"Path": str(path), "Kind": 1} for path in folder.rglob("*")])
            case "GET", ["logs"]:
                self.answer(None)  # nothing beyond what is attached
            case "GET", ["archive"]:
                self.packed(Path(query["path"]))
            case "POST", ["attach"]:
                self.attached(of)
            case "POST", ["start"]:
                of.start()
                self.answer(None, 204)
            case "POST", ["stop"]:
                of.signals.append("stop")
                if of.process is not None:
                    os.killpg(of.process.pid, signal.SIGKILL)
                self.answer(None, 204)
            case "POST", ["wait"]:
                assert of.process is not None
                code = of.process.wait()
                self.answer({"StatusCode": code if code >= 0 else 128 - code})
            case "DELETE", []:
                of.removed = True
                self.answer(None, 204)
            case _:
                self.answer({"message": f"nobody knows {method} {rest} here"}, 404)

    def pull(self, image: str) -> None:
        """Bring any image but those whose name says why not; `slow` ones wait to be given up."""
        if image.startswith("slow"):
            self.server.pulling.set()
            self.server.given_up.wait(20)
        if image.startswith(("unknown", "present-only")):
            self.answer({"errorDetail": {}, "error": f"manifest for {image} not found"})
            return
        self.server.pulled.append(image)
        self.answer({"status": "done"})

    def attached(self, of: Container) -> None:
        self.send_response_only(101, "UPGRADED")
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "tcp")
        self.end_headers()
        self.wfile.flush()
        of.started.wait(20)
        assert of.process is not None
        lock = threading.Lock()

        def copy(stream: Any, kind: int) -> None:
            while chunk := os.read(stream.fileno(), 4096):
                with lock:
                    self.wfile.write(struct.pack(">BxxxI", kind, len(chunk)) + chunk)
                    self.wfile.flush()

        both = [
            threading.Thread(target=copy, args=(of.process.stdout, 1)),
            threading.Thread(target=copy, args=(of.process.stderr, 2)),
        ]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        self.close_connection = True

    def packed(self, folder: Path) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(folder, arcname=folder.name)
        self.send_response(200)
        self.send_header("X-Docker-Container-Path-Stat", "e30=")
        self.send_header("Content-Length", str(len(packed.getvalue())))
        self.end_headers()
        self.wfile.write(packed.getvalue())

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            found = b""
            while size := int(self.rfile.readline().strip(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(
        self, value: object, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        content = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)
