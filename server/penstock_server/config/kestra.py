"""The configuration that people have in their compose files, in our words.

What has a meaning here is taken; driver names, the repository and the queue are ignored in silence;
any other key is named to the person who starts the service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

SCHEDULE = "io.kestra.plugin.core.trigger.Schedule"
DOCKER = (
    "io.kestra.plugin.scripts.runner.docker.Docker",
    "io.kestra.plugin.scripts.runner.docker.DockerTaskRunner",
)


class Taken:
    """Takes known keys out of a foreign configuration; what is left is named to the person."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._left: dict[str, Any] = {}
        self._flatten("", data)

    def _flatten(self, prefix: str, value: Any) -> None:
        if isinstance(value, Mapping) and value:
            for key, item in value.items():
                self._flatten(f"{prefix}.{_camel(str(key))}" if prefix else _camel(str(key)), item)
        else:
            self._left[prefix] = value

    def take(self, path: str) -> Any:
        """The value at a path, None when there is none."""
        return self._left.pop(path, None)

    def tree(self, path: str) -> dict[str, Any]:
        """Everything below a path, as a map of one level."""
        below = {k: v for k, v in self._left.items() if k.startswith(path + ".")}
        for key in below:
            del self._left[key]
        return {k.removeprefix(path + "."): v for k, v in below.items()}

    def left(self) -> list[str]:
        """Paths that nobody took."""
        return sorted(self._left)


def _camel(name: str) -> str:
    head, *rest = name.split("-")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def from_kestra(foreign: Mapping[str, Any], where: str, notes: list[str]) -> dict[str, Any]:
    kestra = dict(foreign.get("kestra") or {})
    verbatim = {
        "globals": ((kestra.get("variables") or {}).get("globals")),
        "plugin_defaults": _defaults_of(kestra),
        "recover_missed_schedules": _recovery_of(kestra, where, notes),
        "docker": _docker_of(kestra),
    }
    taken = Taken(foreign)
    found: dict[str, Any] = {name: value for name, value in verbatim.items() if value}
    taken.tree("kestra.variables.globals")
    for path in (
        "kestra.plugins.defaults",
        "kestra.plugins.configurations",
        "kestra.tasks.defaults",
        "kestra.variables.globals",
    ):
        taken.take(path)
    _put_if(found, "database_url", _jdbc(taken))
    _put_if(found, "port", taken.take("micronaut.server.port"))
    _put_if(found, "url", taken.take("kestra.url"))
    _put_if(found, "environment", taken.take("kestra.environment.name"))
    _put_if(found, "encryption_key", taken.take("kestra.encryption.secretKey"))
    _put_if(found, "storage", taken.take("kestra.storage.local.basePath"))
    _put_if(found, "recursive_rendering", taken.take("kestra.variables.recursiveRendering"))
    prefix = taken.take("kestra.variables.envVarsPrefix")
    if prefix is not None:
        found["env_prefixes"] = (str(prefix),)
    workspaces = taken.take("kestra.tasks.tmpDir.path")
    if workspaces:
        found["runner"] = {"workspaces": workspaces}
    auth = taken.tree("kestra.server.basicAuth")
    if auth.get("username") and auth.get("password") and auth.get("enabled") is not False:
        found["basic_auth"] = {"username": auth["username"], "password": str(auth["password"])}
    for ignored in ("kestra.repository", "kestra.queue"):
        taken.tree(ignored)
    taken.take("kestra.storage.type")
    notes.extend(f"{where}: `{path}` is not used by Penstock" for path in taken.left())
    return found


def _defaults_of(kestra: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = []
    for part in ("tasks", "plugins"):
        listed = (kestra.get(part) or {}).get("defaults")
        if isinstance(listed, list):
            found.extend(listed)
    return found


def _recovery_of(kestra: Mapping[str, Any], where: str, notes: list[str]) -> Any:
    """What is done about missed dates, from the configuration of the Schedule trigger."""
    listed = (kestra.get("plugins") or {}).get("configurations")
    for one in listed if isinstance(listed, list) else ():
        kind = one.get("type") if isinstance(one, Mapping) else one
        if kind not in {SCHEDULE, *DOCKER}:
            notes.append(f"{where}: the configuration of plugin `{kind}` is not used by Penstock")
    return _configured(kestra, SCHEDULE).get("recoverMissedSchedules")


def _docker_of(kestra: Mapping[str, Any]) -> dict[str, Any]:
    """What containers may have, from the configuration of the Docker task runner."""
    told = {name: value for kind in DOCKER for name, value in _configured(kestra, kind).items()}
    reach = {"volumes": "volumeEnabled", "privileged": "privilegedEnabled"}
    allow = [ours for ours, theirs in reach.items() if str(told.get(theirs)).lower() == "true"]
    return {"allow": allow} if allow else {}


def _configured(kestra: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The configuration of one plugin, its names spelt one way."""
    listed = (kestra.get("plugins") or {}).get("configurations")
    found: dict[str, Any] = {}
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, Mapping) and one.get("type") == kind:
            found.update({_camel(str(k)): v for k, v in (one.get("values") or {}).items()})
    return found


def _jdbc(taken: Taken) -> str | None:
    for name in ("postgres", "postgresql", "default"):
        source = taken.tree(f"datasources.{name}")
        address = str(source.get("url") or "")
        if address.startswith("jdbc:postgresql:"):
            parts = urlsplit(address.removeprefix("jdbc:"))
            user = quote(str(source.get("username") or ""), safe="")
            password = quote(str(source.get("password") or ""), safe="")
            login = f"{user}:{password}@" if user else ""
            query = f"?{parts.query}" if parts.query else ""
            return f"postgresql://{login}{parts.netloc}{parts.path}{query}"
    taken.tree("datasources")
    return None


def _put_if(found: dict[str, Any], name: str, value: Any) -> None:
    if value is not None:
        found[name] = value
