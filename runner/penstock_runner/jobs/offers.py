"""The labels that a runner offers: those of its settings, and what can be seen of its machine."""

from __future__ import annotations

import platform
import re
import sys

from penstock_runner.jobs.settings import RunnerSettings
from penstock_runner.taskrunners.docker_access import find_daemon

ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def labels_of(settings: RunnerSettings) -> tuple[str, ...]:
    """All labels, in lower case; asks whether a Docker daemon answers."""
    machine = platform.machine().lower()
    architecture = ARCHITECTURES.get(machine, machine)
    system = platform.system().lower()
    found = [label.strip().lower() for label in settings.labels]
    found += ["self-hosted", system, f"os={system}", architecture, f"arch={architecture}"]
    found.append(f"hostname={_value(platform.node().lower())}")
    found.append(f"python={sys.version_info.major}.{sys.version_info.minor}")
    found.append("process")
    if settings.docker.enabled and find_daemon(settings.docker) is not None:
        found.append("docker")
    return tuple(dict.fromkeys(found))


def _value(text: str) -> str:
    return re.sub(r"[^a-z0-9._/-]", "-", text).strip("-._/")[:64] or "unknown"
