"""A live service for tests: `penstock server` as its own process, with a home of its own.

`with live_service(tmp_path) as service:` starts it on a free port, waits until it is ready and
stops it at the end; `service.kill()` is a crash, `restart()` starts it again at the same address.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

START_SECONDS = 60.0
STOP_SECONDS = 15.0
WAIT_SECONDS = 30.0
TERMINAL = frozenset({"SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED", "RETRIED", "SKIPPED"})
# For flows whose tasks write into the test's folder, which is closed to the user of tasks.
AS_OURSELVES = {"PENSTOCK_RUNNER_USER": str(os.geteuid())}
_ADDRESS = re.compile(r"Penstock is running: \S+?:(\d+)\s")
_OURS = ("PENSTOCK_", "KESTRA_", "SECRET_", "ENV_", "GITHUB_", "CI_")


@dataclass(slots=True, kw_only=True)
class Service:
    """A running service; `said()` is what it has printed so far."""

    home: Path
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    within: tuple[str, ...] = ()
    python: str = sys.executable
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    _client: httpx2.Client | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """The file with everything it prints."""
        return self.home.with_name(self.home.name + ".log")

    def said(self) -> str:
        """What it has printed so far."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def request(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """Any call."""
        if self._client is None:
            self._client = httpx2.Client(base_url=self.url, timeout=60, trust_env=False)
        return self._client.request(method, path, **more)

    def get(self, path: str, **more: Any) -> httpx2.Response:
        """A GET of a path."""
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx2.Response:
        """A POST to a path."""
        return self.request("POST", path, **more)

    def put_flow(self, source: str) -> None:
        """Create a flow, or give it a new text."""
        headers = {"Content-Type": "application/x-yaml"}
        answer = self.post("/api/v1/main/flows", content=source, headers=headers)
        if answer.status_code in {409, 422}:
            data = re.findall(r"(?m)^(id|namespace): *(\S+)", source)
            named = dict(data)
            path = f"/api/v1/main/flows/{named['namespace']}/{named['id']}"
            answer = self.request("PUT", path, content=source, headers=headers)
        assert answer.status_code == 200, answer.text

    def start_flow(self, namespace: str, flow_id: str, **inputs: str) -> str:
        """Start a flow; gives the id of the execution."""
        path = f"/api/v1/main/executions/{namespace}/{flow_id}"
        files = {name: (None, value) for name, value in inputs.items()}
        answer = self.post(path, files=files) if files else self.post(path)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def execution(self, execution_id: str) -> dict[str, Any]:
        """An execution as it is now."""
        answer = self.get(f"/api/v1/main/executions/{execution_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ended(self, execution_id: str, seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """An execution once it has ended."""
        return wait_for(
            lambda: self.execution(execution_id),
            lambda one: one["state"]["current"] in TERMINAL,
            seconds=seconds,
        )

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        begins = len(self.said())
        self.launch()
        try:
            self._await_ready(begins)
        except BaseException:
            self.kill()
            raise

    def launch(self) -> None:
        """Start it."""
        command = [*self.within, self.python, "-m", "penstock_server", "server"]
        command += ["--home", str(self.home)]
        command += ["--port", str(self.port), *self.options]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env={**inherited, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.home.parent,
            )

    def stop(self) -> int:
        """Stop it as SIGTERM does; gives its exit code."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the service did not stop: {self.said()[-2000:]}") from None
        self._forget()
        return code

    def kill(self) -> None:
        """End all its processes at once, as a crash or a power cut does."""
        process = self.process
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_SECONDS)
        self._forget()

    def restart(self) -> None:
        """Stop it when it runs, and start it again at the same address."""
        if self.process is not None:
            self.stop()
        self.start()

    def _await_ready(self, begins: int) -> None:
        process = self._running()
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and process.poll() is None:
            told = _ADDRESS.search(self.said()[begins:])
            if told is not None:
                self.port = int(told[1])
                with suppress(httpx2.HTTPError):
                    ready = httpx2.get(f"{self.url}/health/ready", timeout=2, trust_env=False)
                    if ready.status_code == 200:
                        return
            time.sleep(0.02)
        raise AssertionError(f"the service did not become ready: {self.said()[-3000:]}")

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            raise AssertionError("the service does not run")
        return self.process

    def _forget(self) -> None:
        self.process = None
        if self._client is not None:
            self._client.close()
            self._client = None


@contextmanager
def live_service(
    folder: Path,
    *,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
    python: str = sys.executable,
) -> Iterator[Service]:
    """A service with its home below `folder`, ready to be called; stopped at the end.

    `within` is a command that the service is started by, such as `unshare`.
    """
    service = Service(
        home=folder / "home",
        options=tuple(options),
        environment=dict(environment or {}),
        within=tuple(within),
        python=python,
    )
    service.start()
    try:
        yield service
    finally:
        if service.process is not None:
            service.stop()


def wait_for(
    read: Callable[[], Any], holds: Callable[[Any], bool], seconds: float = WAIT_SECONDS
) -> Any:
    """What is read once the claim holds; fails with what was last read."""
    until = time.monotonic() + seconds
    while True:
        found = read()
        if holds(found):
            return found
        if time.monotonic() > until:
            raise AssertionError(f"still not so after {seconds} s: {found!r}")
        time.sleep(0.02)
