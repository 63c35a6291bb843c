"""The properties of the Docker task runner, read and held against what is allowed here."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker.types

from penstock_runner.flow import durations
from penstock_runner.taskrunners.api import SetupFailed
from penstock_runner.taskrunners.docker_access import DockerAccess
from penstock_runner.taskrunners.sizes import size

DEFAULT_REGISTRY = "docker.io"
DEFAULT_REGISTRY_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
SHARED_NETWORK = re.compile(r"host|container:.*|ns:.*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerSettings:
    """The properties of the task runner, read; `options` are for the daemon as they are.

    `pull` is None when the task leaves it open: then the image is pulled, but one that cannot be
    pulled may be there already. `notes` are what the log should say about the properties.
    """

    image: str
    pull: str | None = None
    mount: bool = False
    delete: bool = True
    wait: bool = True
    resume: bool = False
    grace: float = 10.0
    stop_signal: str | None = None
    notes: tuple[str, ...] = ()
    credentials: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


def settings_of(
    properties: Mapping[str, Any],
    *,
    image: str | None,
    access: DockerAccess,
    grace: float,
    stop_signal: str | None = None,
) -> DockerSettings:
    """Read the properties; one that reaches too far, or cannot be read, is a `SetupFailed`."""
    chosen = properties.get("image") or image
    if not chosen:
        raise SetupFailed("This task runner needs the `containerImage` property to be set")
    _refuse_what_is_not_allowed(properties, access)
    pull = properties.get("pullPolicy")
    own_grace = properties.get("killGracePeriod")
    mount = properties.get("fileHandlingStrategy") == "MOUNT"
    wait = _flag(properties.get("wait"), default=True)
    if mount and not wait:
        raise SetupFailed(
            "`wait: false` of the task runner leaves a container running, and the folder that "
            "`fileHandlingStrategy: MOUNT` gives it is removed with the task: leave one of them out"
        )
    return DockerSettings(
        image=str(chosen),
        pull=str(pull) if pull else None,
        mount=mount,
        delete=_flag(properties.get("delete"), default=True),
        wait=wait,
        resume=_flag(properties.get("resume"), default=False) and wait and not mount,
        notes=_notes(properties),
        grace=grace if own_grace is None else min(grace, _seconds(own_grace)),
        stop_signal=stop_signal,
        credentials=_credentials(properties, str(chosen)),
        options=_options(properties),
    )


def _refuse_what_is_not_allowed(properties: Mapping[str, Any], access: DockerAccess) -> None:
    asked = {
        "volumes": bool(properties.get("volumes")),
        "networkMode": bool(SHARED_NETWORK.fullmatch(str(properties.get("networkMode") or ""))),
        "privileged": str(properties.get("privileged") or "").lower() == "true",
        "portBindings": bool(properties.get("portBindings")),
        "deviceRequests": bool(properties.get("deviceRequests")),
    }
    refused = [name for name, wanted in asked.items() if wanted and name not in access.allow]
    if refused:
        names = ", ".join(f"`{name}`" for name in refused)
        raise SetupFailed(
            f"{names} of the task runner would reach beyond the container, which is not allowed "
            f"here: leave it out, or have it allowed with `docker: {{allow: [{', '.join(refused)}]"
            "}` in the settings"
        )
    for volume in properties.get("volumes") or ():
        _refuse_what_is_private(str(volume), access.private)


def _refuse_what_is_private(volume: str, private: tuple[Path, ...]) -> None:
    """A volume may neither lie in a folder of ours nor hold one: our sockets are in there."""
    source = volume.partition(":")[0]
    if not source.startswith("/"):
        return
    path = Path(source).resolve()
    ours = [*private, Path("/proc")]
    for folder in (kept.resolve() for kept in ours):
        if path.is_relative_to(folder) or folder.is_relative_to(path):
            raise SetupFailed(
                f"The volume {volume} would show the container {folder}, which no task may have: "
                "name a folder that neither holds it nor lies in it"
            )


def _options(properties: Mapping[str, Any]) -> dict[str, Any]:
    cpu, memory = properties.get("cpu") or {}, properties.get("memory") or {}
    found: dict[str, Any] = {
        "entrypoint": _entry_point(properties),
        "user": properties.get("user"),
        "network_mode": properties.get("networkMode"),
        "extra_hosts": _hosts(properties.get("extraHosts")),
        "shm_size": size("shmSize", properties.get("shmSize")),
        "volumes": list(properties.get("volumes") or ()) or None,
        "device_requests": _devices(properties.get("deviceRequests")),
        "privileged": _flag(properties.get("privileged"), default=False) or None,
        "ports": _ports(properties.get("portBindings")),
        "nano_cpus": int(float(cpu["cpus"]) * 1e9) if cpu.get("cpus") else None,
        "mem_limit": size("memory", memory.get("memory")),
        "memswap_limit": size("memorySwap", memory.get("memorySwap")),
        "mem_swappiness": _whole(memory.get("memorySwappiness")),
        "mem_reservation": size("memoryReservation", memory.get("memoryReservation")),
        "oom_kill_disable": memory.get("oomKillDisable"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _entry_point(properties: Mapping[str, Any]) -> list[str] | str | None:
    """Nothing takes the place of the image's own unless the task says null: then it stays."""
    if "entryPoint" in properties and properties["entryPoint"] is None:
        return None
    return [str(part) for part in properties.get("entryPoint") or () if part] or ""


def _flag(value: Any, *, default: bool) -> bool:
    return default if value is None else str(value).lower() == "true"


def _notes(properties: Mapping[str, Any]) -> tuple[str, ...]:
    if (properties.get("memory") or {}).get("kernelMemory") is None:
        return ()
    return ("`memory.kernelMemory` of the task runner has no effect: daemons no longer know it",)


def _hosts(value: Any) -> dict[str, str] | None:
    if not value:
        return None
    return {name: address for name, _, address in (str(item).partition(":") for item in value)}


def _ports(value: Any) -> dict[str, Any] | None:
    """`8080:80` and `127.0.0.1:8080:80/udp` as the daemon's client reads them."""
    if not value:
        return None
    found: dict[str, Any] = {}
    for item in map(str, value):
        address, _, port = item.rpartition(":")
        host, _, outer = address.rpartition(":")
        number = int(outer) if outer.isdigit() else None
        inner = port if "/" in port else f"{port}/tcp"
        found[inner] = (host, number) if host else number
    return found


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


def _seconds(value: Any) -> float:
    try:
        return durations.parse(value).total_seconds()
    except durations.BadDuration as error:
        raise SetupFailed(f"`killGracePeriod` of the task runner: {error}") from None


def _whole(value: Any) -> int | None:
    return None if value is None else int(str(value))


def _credentials(properties: Mapping[str, Any], image: str) -> dict[str, Any]:
    given = _login(properties, image)
    if given.get("auth") and not given.get("username"):
        with suppress(binascii.Error, UnicodeDecodeError):
            login = base64.b64decode(str(given["auth"])).decode()
            given["username"], _, given["password"] = login.partition(":")
    spelling = {"registryToken": "registrytoken", "identityToken": "identitytoken"}
    left_out = {"registry", "auth"}
    return {
        spelling.get(str(key), str(key)): value
        for key, value in given.items()
        if key not in left_out and value is not None
    }


def _login(properties: Mapping[str, Any], image: str) -> dict[str, Any]:
    """The `credentials`, unless they name a registry that is not the image's: its own are asked."""
    given = dict(properties.get("credentials") or {})
    named = given.get("registry")
    if given and (not named or _host(str(named)) == registry_of(image)):
        return given
    return _configured(properties, image)


def _configured(properties: Mapping[str, Any], image: str) -> dict[str, Any]:
    """The login of the image's registry in `config`, the text or map of a Docker client."""
    config = properties.get("config")
    if isinstance(config, str):
        try:
            config = json.loads(config)
        except ValueError:
            raise SetupFailed("`config` of the task runner is no JSON") from None
    logins = config.get("auths") if isinstance(config, Mapping) else None
    for address, login in (logins or {}).items():
        if _host(str(address)) == registry_of(image):
            return dict(login)
    return {}


def _host(address: str) -> str:
    """The registry behind an address, as the names of images begin with it."""
    name = re.sub(r"^https?://|/.*$", "", address)
    return DEFAULT_REGISTRY if name in DEFAULT_REGISTRY_HOSTS else name


def login_of(properties: Mapping[str, Any], image: str) -> dict[str, Any]:
    """The login of the image's registry in `credentials` or `config`, as the daemon reads it."""
    return _credentials(properties, image)


def image_in(registry: str | None, image: str) -> str:
    """The image, in this registry unless its name already begins with it."""
    host = _host(registry or DEFAULT_REGISTRY)
    if host == DEFAULT_REGISTRY or image.startswith(f"{host}/"):
        return image
    return f"{host}/{image}"


def registry_of(image: str) -> str:
    """The registry that an image's name begins with."""
    first, slash, _ = image.partition("/")
    named = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return first if named else DEFAULT_REGISTRY
