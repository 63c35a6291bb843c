"""Whether a service is ready: its process runs, and its check, if it has one, succeeds.

The check of a flow is run by us, since not every daemon runs checks by itself; the check of an
image is the daemon's own affair, and its answer is taken.
"""

from __future__ import annotations

import contextlib
import enum
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from penstock_runner.taskrunners.docker_client import UNREACHABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How to find out whether a service is ready: `test` is as Docker writes it."""

    test: tuple[str, ...]
    interval: timedelta = timedelta(seconds=1)
    timeout: timedelta = timedelta(seconds=5)
    retries: int = 30
    start: timedelta = timedelta()

    @property
    def command(self) -> list[str]:
        """The command to run inside; empty for none."""
        kind, *words = self.test or ("NONE",)
        if kind == "CMD-SHELL":
            return ["/bin/sh", "-c", " ".join(words)]
        return [] if kind == "NONE" else words


class State(enum.Enum):
    """How far a service is."""

    STARTING = enum.auto()
    READY = enum.auto()
    UNHEALTHY = enum.auto()
    ENDED = enum.auto()


class Check:
    """The way of one service to its readiness; instants are of the monotonic clock."""

    def __init__(self, container: Any, health: Health | None, began: float) -> None:
        self._container = container
        self._health = health
        self._began = began
        self._next = began
        self._failures = 0
        self.exit_code: int | None = None

    def look(self, now: float) -> State:
        """How far it is now."""
        self._container.reload()
        state = self._container.attrs["State"]
        if not state.get("Running"):
            self.exit_code = state.get("ExitCode")
            return State.ENDED
        if self._health is None:
            return _of_image((state.get("Health") or {}).get("Status"))
        return self._checked(self._health, now)

    def _checked(self, health: Health, now: float) -> State:
        if not health.command or (now >= self._next and self._succeeds(health)):
            return State.READY
        if now >= self._next:
            self._next = now + health.interval.total_seconds()
            self._failures += now >= self._began + health.start.total_seconds()
        return State.UNHEALTHY if self._failures >= health.retries else State.STARTING

    def _succeeds(self, health: Health) -> bool:
        codes: list[int] = []

        def run() -> None:
            with contextlib.suppress(*UNREACHABLE):
                codes.append(self._container.exec_run(health.command).exit_code)

        thread = threading.Thread(target=run, daemon=True, name="docker-check")
        thread.start()
        thread.join(health.timeout.total_seconds())
        return codes == [0]


def _of_image(status: str | None) -> State:
    match status:
        case "starting":
            return State.STARTING
        case "unhealthy":
            return State.UNHEALTHY
        case _:
            return State.READY
