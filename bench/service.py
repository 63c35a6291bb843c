"""A service of its own for a figure: started in a fresh home, asked until ready, always ended."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60.0
STOP_SECONDS = 30.0
PENSTOCK = (sys.executable, "-m", "penstock_server")


class NotMeasured(Exception):
    """A figure cannot be measured here; the message says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that is ready; `seconds` is the time from its first instruction to that."""

    port: int
    pid: int
    home: Path
    seconds: float

    def memory(self) -> float:
        """MB of all its processes, what they share counted once."""
        return sum(map(pss_of, tree(self.pid))) / 1e6


@contextlib.contextmanager
def home() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    made = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def service(
    folder: Path,
    *,
    database_url: str | None = None,
    more: Sequence[str] = (),
    program: Sequence[str] = PENSTOCK,
) -> Iterator[Service]:
    """A running service over a home; ended with all its processes afterwards."""
    port = free_port()
    command = [*program, "server", "--home", str(folder), "--port", str(port), *more]
    if database_url is not None:
        command += ["--database-url", database_url]
    with (folder / "bench.log").open("ab") as log:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        _wait_until_ready(process, port, folder)
        seconds = time.perf_counter() - begun
        yield Service(port=port, pid=process.pid, home=folder, seconds=seconds)
    finally:
        _end(process)


@contextlib.contextmanager
def fresh(
    database_url: str | None = None, *, configured: str = "", program: Sequence[str] = PENSTOCK
) -> Iterator[Service]:
    """A running service over a new home, with this text in its `penstock.yaml`."""
    with home() as folder:
        if configured:
            (folder / "penstock.yaml").write_text(configured)
        with service(folder, database_url=database_url, program=program) as running:
            yield running


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found.extend(map(int, children.read_text().split()))
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def pss_of(pid: int) -> int:
    """Bytes of a process in which what it shares counts in parts; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except PermissionError:
        raise NotMeasured("reading the memory of the service's processes needs root") from None
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    until = time.perf_counter() + START_SECONDS
    while time.perf_counter() < until:
        if process.poll() is not None:
            break
        if _ready(port):
            return
        time.sleep(0.005)
    log = (folder / "bench.log").read_text(errors="replace")[-2000:]
    raise RuntimeError(f"the service did not become ready on port {port}:\n{log}")


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    everyone = tree(process.pid)
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        for pid in everyone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(STOP_SECONDS)
