"""Whether tasks may run in containers, on which daemon, and how far those may reach."""

from __future__ import annotations

from typing import Literal

from penstock_server.config.section import Section

Reach = Literal[
    "volumes", "networkMode", "privileged", "portBindings", "deviceRequests", "host", "daemon"
]


class DockerSection(Section):
    """The Docker task runner; without `enabled` it is on for a service that only loopback reaches.

    `allow` names properties of the task runner that reach beyond the container; `daemon` is what
    tasks do to containers and images of others.
    """

    enabled: bool | None = None
    host: str | None = None
    allow: frozenset[Reach] = frozenset()
