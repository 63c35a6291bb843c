"""The task runner that runs a command in a Docker container.

The job's folder has the same absolute path inside. With the strategy VOLUME it is copied in before
and out after the run, which works with any daemon; with MOUNT it is a bind mount, for a daemon of
this machine. Containers carry the folder as a label, so that those of a dead runner are found at
the start.
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import docker
import docker.tls

from penstock_runner.taskrunners import docker_files, names
from penstock_runner.taskrunners.api import Command, Ended, Interrupts, SetupFailed, Sink
from penstock_runner.taskrunners.docker_access import Daemon
from penstock_runner.taskrunners.docker_images import UNREACHABLE, bring
from penstock_runner.taskrunners.docker_settings import DockerSettings

FOLDER_LABEL = "penstock.folder"
TASKRUN_LABEL = "penstock.taskrun"
LABEL_PREFIX = "kestra.io/"
API_SECONDS = 120
DAY = 24 * 3600
STOPPED = 128 + 15
QUIET_SECONDS = 1.0
CHUNKS_AHEAD = 64


def run(
    command: Command,
    settings: DockerSettings,
    daemon: Daemon,
    *,
    sink: Sink,
    interrupts: Interrupts,
) -> Ended:
    """Run the command in a new container to its end."""
    with contextlib.closing(_client(daemon)) as client:
        try:
            return _Run(client, command, settings, sink, interrupts).to_its_end()
        finally:
            sink.close()


def sweep(root: Path, daemon: Daemon) -> int:
    """Remove the containers whose job folder is `root` or below it; how many there were."""
    removed = 0
    with contextlib.suppress(*UNREACHABLE), contextlib.closing(_client(daemon)) as client:
        for found in client.api.containers(all=True, filters={"label": FOLDER_LABEL}):
            folder = (found.get("Labels") or {}).get(FOLDER_LABEL, "/")
            if Path(folder).is_relative_to(root):
                with contextlib.suppress(*UNREACHABLE):
                    client.api.remove_container(found["Id"], force=True, v=True)
                    removed += 1
    return removed


def _client(daemon: Daemon) -> Any:
    tls: Any = None
    host = daemon.host
    if daemon.certificates is not None and not host.startswith("unix:"):
        folder = daemon.certificates
        tls = docker.tls.TLSConfig(
            client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
            ca_cert=str(folder / "ca.pem"),
            verify=True,
        )
    try:
        return docker.DockerClient(
            base_url=host, version=daemon.version, timeout=API_SECONDS, tls=tls
        )
    except UNREACHABLE as error:
        raise SetupFailed(f"The Docker daemon at {host} cannot be used: {error}") from None


class _Run:
    """One container from its making to its removal."""

    def __init__(
        self,
        client: Any,
        command: Command,
        settings: DockerSettings,
        sink: Sink,
        interrupts: Interrupts,
    ) -> None:
        self._client = client
        self._command = command
        self._settings = settings
        self._sink = sink
        self._stopped = threading.Event()
        self._container: Any = None
        interrupts.on_cancel(self._stop)
        interrupts.on_force(self._kill)

    def to_its_end(self) -> Ended:
        """Bring the image, then make, fill, start, follow, empty and remove the container."""
        try:
            bring(self._client, self._settings, self._sink, self._stopped)
            if self._stopped.is_set():
                return Ended(exit_code=STOPPED)
            self._container = self._client.containers.create(**self._creation())
        except UNREACHABLE as error:
            if self._stopped.is_set():
                return Ended(exit_code=STOPPED)
            raise SetupFailed(f"The container could not be made: {_words(error)}") from None
        try:
            return self._run()
        except (*UNREACHABLE, OSError) as error:
            raise SetupFailed(f"The container could not be run: {_words(error)}") from None
        finally:
            if self._settings.delete:
                with contextlib.suppress(*UNREACHABLE):
                    self._container.remove(force=True, v=True)

    def _run(self) -> Ended:
        container, folder = self._container, self._command.folder
        given = not self._settings.mount and docker_files.needs_files(container, folder)
        if given:
            docker_files.copy_in(container, folder)
        output = container.attach(stdout=True, stderr=True, stream=True, demux=True)
        if self._stopped.is_set():
            return Ended(exit_code=STOPPED)
        container.start()
        if self._stopped.is_set():
            self._stop()  # the first one may have come before there was anything to stop
        self._follow(output)
        code = int(container.wait(timeout=DAY)["StatusCode"])
        container.reload()
        oom = bool(container.attrs.get("State", {}).get("OOMKilled"))
        if not self._settings.mount and (
            given or not docker_files.wrote_nothing(container, folder)
        ):
            docker_files.copy_out(container, folder)
        return Ended(exit_code=code, oom=oom)

    def _follow(self, output: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Hand on the output until its end; a thread reads it, so that silence is noticed."""
        chunks: queue.Queue[tuple[bytes | None, bytes | None] | Exception | None]
        chunks = queue.Queue(maxsize=CHUNKS_AHEAD)

        def read() -> None:
            try:
                for chunk in output:
                    chunks.put(chunk)
                chunks.put(None)
            except (*UNREACHABLE, OSError) as error:
                chunks.put(error)

        threading.Thread(target=read, daemon=True, name="docker-output").start()
        while True:
            try:
                chunk = chunks.get(timeout=QUIET_SECONDS)
            except queue.Empty:
                self._sink.quiet()
                continue
            if chunk is None:
                return
            if isinstance(chunk, Exception):
                raise chunk
            for stream, part in zip(("stdout", "stderr"), chunk, strict=True):
                if part:
                    self._sink.feed(stream, part)

    def _creation(self) -> dict[str, Any]:
        command, settings = self._command, self._settings
        options = dict(settings.options)
        own = options.pop("volumes", [])
        mounted = [f"{command.folder}:{command.folder}:rw"] if settings.mount else []
        return {
            "image": settings.image,
            "command": list(command.argv),
            "environment": dict(command.env),
            "working_dir": str(command.cwd),
            "labels": {
                **names.labels(command.labels, prefix=LABEL_PREFIX),
                TASKRUN_LABEL: command.labels.get("taskrun-id", ""),
                FOLDER_LABEL: str(command.folder),
            },
            "detach": True,
            "stop_signal": settings.stop_signal,
            **options,
            "volumes": [*own, *mounted],
        }

    def _stop(self) -> None:
        """Ask the container to end, and kill it after the grace."""
        grace = math.ceil(self._settings.grace)
        self._aside(lambda container: container.stop(timeout=grace))

    def _kill(self) -> None:
        self._aside(lambda container: container.kill())

    def _aside(self, act: Callable[[Any], object]) -> None:
        """Act in a thread of its own: who cancels must not wait for it."""
        self._stopped.set()
        container = self._container
        if container is None:
            return

        def work() -> None:
            with contextlib.suppress(*UNREACHABLE):
                act(container)

        threading.Thread(target=work, daemon=True, name="docker-stop").start()


def _words(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error)
