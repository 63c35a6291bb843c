"""The task runner that runs a command in a Docker container.

The job's folder has the same absolute path inside. With the strategy VOLUME it is copied in before
and out after the run, which works with any daemon; with MOUNT it is a bind mount, for a daemon of
this machine. Containers carry the folder as a label, so that those of a dead runner are found at
the start.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests.exceptions

from penstock_runner.taskrunners import names
from penstock_runner.taskrunners.api import Command, Ended, Interrupts, SetupFailed, Sink
from penstock_runner.taskrunners.choice import NO_DOCKER, SOCKETS

FOLDER_LABEL = "penstock.folder"
LABEL_PREFIX = "kestra.io/"
API_SECONDS = 120
DAY = 24 * 3600
SIGNALLED = 128
UNREACHABLE = (docker.errors.DockerException, requests.exceptions.RequestException)


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerSettings:
    """The properties of the task runner, read; `options` are for the daemon as they are."""

    image: str
    host: str
    pull: str = "ALWAYS"
    mount: bool = False
    delete: bool = True
    grace: float = 10.0
    credentials: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


def settings_of(
    properties: Mapping[str, Any],
    *,
    image: str | None,
    host: str | None,
    volumes: bool,
    grace: float,
) -> DockerSettings:
    """Read the properties; `volumes` says whether tasks may mount folders of the machine."""
    chosen = properties.get("image") or image
    if not chosen:
        raise SetupFailed("This task runner needs the `containerImage` property to be set")
    found = next((f"unix://{path}" for path in SOCKETS if Path(path).exists()), None)
    address = properties.get("host") or host or found
    if not address:
        raise SetupFailed(NO_DOCKER)
    pull = str(properties.get("pullPolicy") or "ALWAYS")
    return DockerSettings(
        image=str(chosen),
        host=str(address),
        pull=pull,
        mount=properties.get("fileHandlingStrategy") == "MOUNT",
        delete=str(properties.get("delete", True)).lower() != "false",
        grace=grace,
        credentials=_credentials(properties),
        options=_options(properties, volumes=volumes),
    )


def run(command: Command, settings: DockerSettings, *, sink: Sink, interrupts: Interrupts) -> Ended:
    """Run the command in a new container to its end."""
    stopped = threading.Event()
    try:
        client = docker.DockerClient(base_url=settings.host, timeout=API_SECONDS)
    except UNREACHABLE as error:
        raise SetupFailed(f"{NO_DOCKER} ({error})") from None
    with contextlib.closing(client):
        try:
            _pull(client, settings)
            container = client.containers.create(**_creation(command, settings))
        except UNREACHABLE as error:
            raise SetupFailed(f"The container could not be made: {_words(error)}") from None
        try:
            interrupts.on_cancel(lambda: _stop_later(container, settings.grace, stopped))
            return _run(container, command, settings, sink, stopped)
        except UNREACHABLE as error:
            raise SetupFailed(f"The container could not be run: {_words(error)}") from None
        finally:
            sink.close()
            if settings.delete:
                with contextlib.suppress(*UNREACHABLE):
                    container.remove(force=True, v=True)


def sweep(root: Path, host: str | None) -> int:
    """Remove the containers whose job folder is below `root`; how many there were."""
    address = host or next((f"unix://{path}" for path in SOCKETS if Path(path).exists()), None)
    if address is None:
        return 0
    removed = 0
    with contextlib.suppress(*UNREACHABLE):
        client = docker.DockerClient(base_url=address, timeout=API_SECONDS)
        with contextlib.closing(client):
            for container in client.containers.list(all=True, filters={"label": FOLDER_LABEL}):
                if Path(container.labels.get(FOLDER_LABEL, "/")).is_relative_to(root):
                    container.remove(force=True, v=True)
                    removed += 1
    return removed


def _run(
    container: Any, command: Command, settings: DockerSettings, sink: Sink, stopped: threading.Event
) -> Ended:
    if not settings.mount:
        _copy_in(container, command.folder)
    output = container.attach(stdout=True, stderr=True, stream=True, demux=True)
    if stopped.is_set():
        return Ended(exit_code=SIGNALLED + 15)
    container.start()
    for out, err in output:
        if out:
            sink.feed("stdout", out)
        if err:
            sink.feed("stderr", err)
    code = int(container.wait(timeout=DAY)["StatusCode"])
    container.reload()
    oom = bool(container.attrs.get("State", {}).get("OOMKilled"))
    if not settings.mount:
        _copy_out(container, command.folder)
    return Ended(exit_code=code, oom=oom)


def _pull(client: Any, settings: DockerSettings) -> None:
    if settings.pull == "NEVER":
        return
    if settings.pull == "IF_NOT_PRESENT":
        with contextlib.suppress(docker.errors.ImageNotFound):
            client.images.get(settings.image)
            return
    client.images.pull(settings.image, auth_config=dict(settings.credentials) or None)


def _creation(command: Command, settings: DockerSettings) -> dict[str, Any]:
    labels = names.labels(command.labels, prefix=LABEL_PREFIX)
    return {
        "image": settings.image,
        "command": list(command.argv),
        "environment": dict(command.env),
        "working_dir": str(command.cwd),
        "labels": {**labels, FOLDER_LABEL: str(command.folder)},
        "detach": True,
        **settings.options,
        "volumes": [
            *settings.options.get("volumes", ()),
            *([f"{command.folder}:{command.folder}:rw"] if settings.mount else ()),
        ],
    }


def _stop_later(container: Any, grace: float, stopped: threading.Event) -> None:
    """Stop the container in a thread of its own: who cancels must not wait for it."""
    stopped.set()

    def stop() -> None:
        with contextlib.suppress(*UNREACHABLE):
            container.stop(timeout=int(grace))

    threading.Thread(target=stop, daemon=True, name="docker-stop").start()


def _copy_in(container: Any, folder: Path) -> None:
    with tempfile.TemporaryFile() as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(folder, arcname=str(folder).lstrip("/"), filter=_open_to_all)
        packed.seek(0)
        container.put_archive("/", packed)


def _open_to_all(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Whoever the image runs as may use the job's files: they are copies."""
    entry.mode |= 0o777 if entry.isdir() else 0o666
    entry.uid = entry.gid = 0
    return entry


def _copy_out(container: Any, folder: Path) -> None:
    """Bring the folder's files back; entries that would lead out of it are left there."""
    with contextlib.suppress(docker.errors.NotFound):
        chunks, _ = container.get_archive(str(folder))
        with tarfile.open(fileobj=_Stream(chunks), mode="r|") as archive:
            for entry in archive:
                with contextlib.suppress(tarfile.FilterError, OSError):
                    archive.extract(entry, folder.parent, filter="data")
        for place, folders, _ in os.walk(folder):
            for name in folders:
                with contextlib.suppress(OSError):
                    (Path(place) / name).chmod(0o700)


class _Stream(io.RawIOBase):
    """An iterator of chunks as a file to read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            try:
                self._rest = next(self._chunks)
            except StopIteration:
                return 0
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _options(properties: Mapping[str, Any], *, volumes: bool) -> dict[str, Any]:
    cpu, memory = properties.get("cpu") or {}, properties.get("memory") or {}
    entrypoint = [part for part in properties.get("entryPoint") or [""] if part]
    found: dict[str, Any] = {
        "entrypoint": entrypoint or None,
        "user": properties.get("user"),
        "network_mode": properties.get("networkMode"),
        "extra_hosts": _hosts(properties.get("extraHosts")),
        "shm_size": properties.get("shmSize"),
        "volumes": list(properties.get("volumes") or ()) if volumes else None,
        "device_requests": _devices(properties.get("deviceRequests")),
        "nano_cpus": int(float(cpu["cpus"]) * 1e9) if cpu.get("cpus") else None,
        "mem_limit": _bytes(memory.get("memory")),
        "memswap_limit": _bytes(memory.get("memorySwap")),
        "mem_swappiness": memory.get("memorySwappiness"),
        "mem_reservation": _bytes(memory.get("memoryReservation")),
        "oom_kill_disable": memory.get("oomKillDisable"),
    }
    if not entrypoint:
        found["entrypoint"] = ""
    return {name: value for name, value in found.items() if value is not None}


def _hosts(value: Any) -> dict[str, str] | None:
    if not value:
        return None
    return {name: address for name, _, address in (str(item).partition(":") for item in value)}


def _devices(value: Any) -> list[Any] | None:
    if not value:
        return None
    return [
        docker.types.DeviceRequest(
            driver=item.get("driver"),
            count=item.get("count"),
            device_ids=item.get("deviceIds"),
            capabilities=item.get("capabilities"),
            options=item.get("options"),
        )
        for item in value
    ]


def _bytes(value: Any) -> str | None:
    """`512MB` as the daemon's client reads it: `512m`."""
    if value is None:
        return None
    text = str(value).strip().lower()
    return text[:-1] if text[-2:] in {"kb", "mb", "gb", "tb"} else text


def _credentials(properties: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(properties.get("credentials") or {})
    if not given and properties.get("config"):
        config = properties["config"]
        with contextlib.suppress(ValueError):
            config = json.loads(config) if isinstance(config, str) else config
        auths = config.get("auths", {}) if isinstance(config, Mapping) else {}
        given = dict(next(iter(auths.values()), {}))
    spelling = {"registryToken": "registrytoken", "identityToken": "identitytoken"}
    return {
        spelling.get(str(key), str(key)): value for key, value in given.items() if key != "registry"
    }


def _words(error: Exception) -> str:
    return str(getattr(error, "explanation", None) or error)
