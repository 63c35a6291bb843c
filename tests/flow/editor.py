"""An editor for tests: the real yaml-language-server, driven over its standard streams."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGE = "yaml-language-server@1"
INSTALL_SECONDS = 180
ANSWER_SECONDS = 60


def installed(folder: Path) -> Path | str:
    """The folder with the server's modules, or the reason why there is none."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        return "npm and node are not here"
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--silent"]
    try:
        done = subprocess.run(
            [*command, PACKAGE],
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "npm did not install the language server in time"
    if done.returncode != 0:
        return f"npm cannot install the language server: {done.stderr.strip()[-200:]}"
    return folder / "node_modules"


class Editor:
    """A session with one language server and one schema for every file."""

    def __init__(self, process: subprocess.Popen[bytes], schema: Path) -> None:
        self._process = process
        self._schema = schema
        self._told: queue.Queue[dict[str, Any]] = queue.Queue()
        self._ids = 0
        self._files = 0
        threading.Thread(target=self._listen, daemon=True).start()
        self._ask("initialize", {"processId": None, "rootUri": None, "capabilities": _CAN})
        self._send("initialized", {})
        settings: dict[str, Any] = {"validate": True, "hover": True, "completion": True}
        settings["schemaStore"] = {"enable": False}
        self._send("workspace/didChangeConfiguration", {"settings": {"yaml": settings}})

    def diagnostics(self, text: str) -> list[dict[str, Any]]:
        """What the editor underlines."""
        return self._diagnostics(self._opened(text))

    def completions(self, text: str) -> dict[str, dict[str, Any]]:
        """What is offered at the `|` of the text, by label."""
        answer = self._at("textDocument/completion", text)
        items = answer["items"] if isinstance(answer, Mapping) else answer or []
        return {item["label"]: item for item in items}

    def hover(self, text: str) -> str:
        """What is said of the word at the `|` of the text."""
        answer = self._at("textDocument/hover", text)
        return str(answer["contents"]["value"]) if answer else ""

    def _at(self, method: str, text: str) -> Any:
        before, _, after = text.partition("|")
        uri = self._opened(before + after)
        self._diagnostics(uri)
        position = {"line": before.count("\n") + 1, "character": len(before.rpartition("\n")[2])}
        return self._ask(method, {"textDocument": {"uri": uri}, "position": position})

    def _opened(self, text: str) -> str:
        self._files += 1
        uri = (self._schema.parent / f"flow{self._files}.yaml").as_uri()
        text = f"# yaml-language-server: $schema={self._schema.as_uri()}\n{text}"
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._send("textDocument/didOpen", {"textDocument": document})
        return uri

    def _diagnostics(self, uri: str) -> list[dict[str, Any]]:
        while True:
            told = self._next()
            published = told.get("method") == "textDocument/publishDiagnostics"
            if published and told["params"]["uri"] == uri:
                found: list[dict[str, Any]] = told["params"]["diagnostics"]
                return found

    def _ask(self, method: str, params: object) -> Any:
        self._ids += 1
        self._send(method, params, id=self._ids)
        while True:
            told = self._next()
            if told.get("id") == self._ids and "method" not in told:
                if "error" in told:
                    raise AssertionError(f"{method}: {told['error']}")
                return told["result"]

    def _next(self) -> dict[str, Any]:
        """The next message; what the server itself asks is answered with nothing."""
        try:
            told = self._told.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            raise AssertionError(f"no answer within {ANSWER_SECONDS} s") from None
        if "id" in told and "method" in told:
            items = told.get("params", {}).get("items", [])
            self._write({"jsonrpc": "2.0", "id": told["id"], "result": [None for _ in items]})
        return told

    def _send(self, method: str, params: object, **more: Any) -> None:
        self._write({"jsonrpc": "2.0", "method": method, "params": params, **more})

    def _write(self, message: object) -> None:
        body = json.dumps(message).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _listen(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while True:
            length = 0
            while (line := stream.readline()).strip():
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if not line:
                return
            self._told.put(json.loads(stream.read(length)))


_CAN: dict[str, Any] = {
    "textDocument": {
        "completion": {"completionItem": {"documentationFormat": ["markdown"]}},
        "hover": {"contentFormat": ["markdown"]},
        "publishDiagnostics": {},
    },
    "workspace": {"configuration": False},
}


@contextmanager
def editing(modules: Path, schema: Path) -> Iterator[Editor]:
    """An editor whose files all have this schema."""
    server = modules / "yaml-language-server" / "bin" / "yaml-language-server"
    process = subprocess.Popen(
        ["node", str(server), "--stdio"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Editor(process, schema)
    finally:
        process.kill()
        process.wait(10)
