"""The task runner that runs a command in a Docker container.

The job's folder has the same absolute path inside. With the strategy VOLUME it is copied in before
and out after the run, which works with any daemon; with MOUNT it is a bind mount, for a daemon of
this machine. A container that may be resumed outlives its runner: the attempt that takes its place
follows it to its end, rather than starting another one beside it.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from penstock_runner.taskrunners import docker_files, docker_labels, docker_sweep
from penstock_runner.taskrunners.api import Command, Ended, Interrupts, SetupFailed, Sink
from penstock_runner.taskrunners.docker_access import Daemon
from penstock_runner.taskrunners.docker_client import UNREACHABLE, connect, words
from penstock_runner.taskrunners.docker_images import bring
from penstock_runner.taskrunners.docker_output import Follower
from penstock_runner.taskrunners.docker_settings import DockerSettings

STOPPED = 128 + 15


def run(
    command: Command,
    settings: DockerSettings,
    daemon: Daemon,
    *,
    sink: Sink,
    interrupts: Interrupts,
    resumable: Callable[[], None] = lambda: None,
) -> Ended:
    """Run the command in a container to its end, or start it and leave it running.

    `resumable` is called once there is a container that another attempt could take up.
    """
    with contextlib.closing(connect(daemon)) as client:
        try:
            container = _Run(client, daemon, command, settings, sink, interrupts, resumable)
            return container.to_its_end()
        finally:
            sink.close()


class _Run:
    """One container from its making to its removal."""

    def __init__(
        self,
        client: Any,
        daemon: Daemon,
        command: Command,
        settings: DockerSettings,
        sink: Sink,
        interrupts: Interrupts,
        resumable: Callable[[], None],
    ) -> None:
        self._client = client
        self._daemon = daemon
        self._command = command
        self._settings = settings
        self._sink = sink
        self._resumable = resumable
        self._stopped = threading.Event()
        self._container: Any = None
        interrupts.on_cancel(self._stop)
        interrupts.on_force(self._kill)

    def to_its_end(self) -> Ended:
        """Take up the container of an earlier attempt, or make, fill and start one; follow it."""
        for note in self._settings.notes:
            self._sink.note(note)
        try:
            inside = self._found()
            if inside is None:
                self._make()
        except UNREACHABLE as error:
            if self._stopped.is_set():
                return Ended(exit_code=STOPPED)
            raise SetupFailed(f"The container could not be made: {words(error)}") from None
        if self._container is None:
            return Ended(exit_code=STOPPED)
        leave = False
        try:
            ended = self._started() if inside is None else self._taken_up(inside)
            leave = not self._settings.wait and not self._stopped.is_set()
        except (*UNREACHABLE, OSError) as error:
            raise SetupFailed(f"The container could not be run: {words(error)}") from None
        finally:
            if not leave:
                self._tidy_up()
        return ended

    def _found(self) -> Path | None:
        """The folder inside a container that an earlier attempt left running."""
        if not self._settings.resume:
            return None
        taskrun = self._command.labels.get("taskrun-id", "")
        found = docker_sweep.left_behind(self._client, taskrun)
        if found is None:
            return None
        self._container, inside = found
        self._resumable()
        self._sink.note(
            f"The container {self._container.short_id} of an earlier attempt is taken up: its "
            "output follows from the start"
        )
        if self._stopped.is_set():
            self._stop()
        return inside

    def _make(self) -> None:
        """Make a container, unless the attempt is stopped before."""
        bring(self._client, self._settings, self._sink, self._stopped)
        if self._stopped.is_set():
            return
        self._container = self._client.containers.create(**self._creation())
        if self._settings.resume:
            self._resumable()

    def _started(self) -> Ended:
        container, folder = self._container, self._command.folder
        given = not self._settings.mount and docker_files.needs_files(container, folder)
        if given:
            docker_files.copy_in(container, folder)
        waits = self._settings.wait
        output = (
            container.attach(stdout=True, stderr=True, stream=True, demux=True) if waits else None
        )
        if self._stopped.is_set():
            return Ended(exit_code=STOPPED)
        container.start()
        if self._stopped.is_set():
            self._stop()  # the first one may have come before there was anything to stop
        if not waits:
            return Ended(exit_code=0, container=container.id)
        code = self._follower().follow(output)
        if not self._settings.mount and (
            given or not docker_files.wrote_nothing(container, folder)
        ):
            docker_files.copy_out(container, folder)
        return self._ended(code)

    def _taken_up(self, inside: Path) -> Ended:
        code = self._follower().follow(None)
        docker_files.copy_out(self._container, self._command.folder, inside)
        return self._ended(code)

    def _follower(self) -> Follower:
        return Follower(
            self._container, self._sink, stopped=self._stopped, patience=self._daemon.patience
        )

    def _ended(self, code: int) -> Ended:
        self._container.reload()
        oom = bool(self._container.attrs.get("State", {}).get("OOMKilled"))
        kept = None if self._settings.delete else self._container.id
        return Ended(exit_code=code, oom=oom, container=kept)

    def _tidy_up(self) -> None:
        with contextlib.suppress(*UNREACHABLE):
            if self._settings.delete:
                self._container.remove(force=True, v=True)
            elif self._settings.resume:
                docker_sweep.mark_ended(self._container)

    def _creation(self) -> dict[str, Any]:
        command, settings = self._command, self._settings
        options = dict(settings.options)
        own = options.pop("volumes", [])
        mounted = [f"{command.folder}:{command.folder}:rw"] if settings.mount else []
        if settings.resume:
            options["name"] = f"penstock-{command.folder.name}"
        return {
            "image": settings.image,
            "command": list(command.argv) or None,
            "environment": dict(command.env),
            "working_dir": str(command.cwd),
            "labels": docker_labels.of_job(command, settings, self._daemon.runner),
            "detach": True,
            "auto_remove": settings.delete and not settings.wait,
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
