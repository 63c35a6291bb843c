"""A live service for cases that speak HTTP: started once, emptied before each case.

`PENSTOCK_CONFORMANCE_URL` and `PENSTOCK_CONFORMANCE_STORE` name one that runs already.
"""

from __future__ import annotations

import atexit
import base64
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx2

from penstock_server.store import schema
from penstock_server.store.engine import Database, open_store

START_SECONDS = 30
SECRETS = {"WEBHOOK_KEY": "secretKey"}
TABLES = (schema.logs, schema.triggers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where the service is, and its store for what no call can set up."""

    client: httpx2.Client
    database: Database

    def empty(self) -> None:
        """Delete everything that earlier cases made."""
        api = "/api/v1"
        for state in ("CREATED", "QUEUED", "RUNNING", "PAUSED", "RETRYING"):
            self.client.delete(f"{api}/executions/kill/by-query", params={"state": state})
        self.client.delete(f"{api}/executions/by-query", params={"includeNonTerminated": "true"})
        self.client.delete(f"{api}/flows/delete/by-query")
        found = self.client.get(f"{api}/namespaces/search", params={"size": 1000}).json()
        for namespace in [one["id"] for one in found["results"]]:
            keys = self.client.get(f"{api}/namespaces/{namespace}/kv").json()
            if keys:
                names = {"keys": [one["key"] for one in keys]}
                self.client.request("DELETE", f"{api}/namespaces/{namespace}/kv", json=names)
        for namespace in ("io.namespace",):
            files = self.client.get(f"{api}/namespaces/{namespace}/files/directory").json()
            for one in files:
                self.client.delete(
                    f"{api}/namespaces/{namespace}/files", params={"path": f"/{one['fileName']}"}
                )
        with self.database.begin() as tx:
            for table in TABLES:
                tx.connection.execute(table.delete())

    def insert(self, table: Any, rows: list[dict[str, Any]]) -> None:
        """Put rows into the store."""
        with self.database.begin() as tx:
            tx.connection.execute(table.insert(), rows)


@cache
def service() -> Service:
    """The service of this run."""
    url = os.environ.get("PENSTOCK_CONFORMANCE_URL")
    store = os.environ.get("PENSTOCK_CONFORMANCE_STORE")
    if url is None or store is None:
        url, store = _start()
    client = httpx2.Client(base_url=url, timeout=60, follow_redirects=True)
    return Service(client=client, database=open_store(store))


def _start() -> tuple[str, str]:
    home = Path(tempfile.mkdtemp(prefix="penstock-conformance-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    secrets = {f"SECRET_{k}": base64.b64encode(v.encode()).decode() for k, v in SECRETS.items()}
    key = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
    log = (home / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock_server", "server", "--home", home, "--port", str(port)],
        env={**os.environ, **secrets, "PENSTOCK_ENCRYPTION_KEY": key},
        stdout=log,
        stderr=log,
    )
    atexit.register(_stop, process)
    url = f"http://127.0.0.1:{port}"
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx2.get(f"{url}/health/ready", timeout=2).status_code == 200:
                return url, f"sqlite:///{next(home.glob('*.db'))}"
        except httpx2.HTTPError:
            pass
        time.sleep(0.05)
    said = (home / "log").read_text("utf-8", "replace")[-500:]
    raise RuntimeError(f"the service did not become ready: {said}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
