"""Brings the image of a container to its daemon, in a way that a kill can interrupt."""

from __future__ import annotations

import contextlib
import re
import threading
from typing import Any

import docker.errors

from penstock_runner.taskrunners.api import SetupFailed, Sink
from penstock_runner.taskrunners.docker_client import UNREACHABLE
from penstock_runner.taskrunners.docker_settings import DockerSettings

ID = re.compile(r"sha256:[0-9a-f]{64}")
"""What a build gives: no registry knows an image by it."""


def bring(client: Any, settings: DockerSettings, sink: Sink, stopped: threading.Event) -> None:
    """See that the image is there, as the pull policy says; returns early once `stopped` is set."""
    if settings.pull == "NEVER":
        return
    kept = settings.pull == "IF_NOT_PRESENT" or (
        settings.pull is None and ID.fullmatch(settings.image)
    )
    if kept and _present(client, settings.image):
        return
    trouble = _pull(client, settings, stopped)
    if trouble is None or stopped.is_set():
        return
    if settings.pull is None and _present(client, settings.image):
        sink.note(
            f"The image {settings.image} could not be pulled ({trouble}); the one that is here is "
            "used. `pullPolicy: IF_NOT_PRESENT` or `NEVER` does not ask the registry"
        )
        return
    raise SetupFailed(f"The image {settings.image} could not be pulled: {trouble}")


def _present(client: Any, image: str) -> bool:
    try:
        client.api.inspect_image(image)
    except docker.errors.ImageNotFound:
        return False
    return True


def _pull(client: Any, settings: DockerSettings, stopped: threading.Event) -> str | None:
    """Pull in a thread, since nothing else ends a wait for the registry; what went wrong."""
    trouble: list[str] = []
    over = threading.Event()

    def pull() -> None:
        try:
            for said in client.api.pull(
                settings.image,
                stream=True,
                decode=True,
                auth_config=dict(settings.credentials) or None,
            ):
                if stopped.is_set():
                    return
                if said.get("error"):
                    trouble.append(str(said["error"]))
        except UNREACHABLE as error:
            trouble.append(str(getattr(error, "explanation", None) or error))
        finally:
            over.set()

    threading.Thread(target=pull, daemon=True, name="docker-pull").start()
    while not over.wait(0.05):
        if stopped.is_set():
            with contextlib.suppress(*UNREACHABLE):
                client.close()
            return None
    return trouble[-1] if trouble else None
