"""What the settings say of all Git sources at this moment."""

from __future__ import annotations

from dataclasses import dataclass

from penstock_server.sync.settings import GitSettings


@dataclass(slots=True)
class Rules:
    """The settings as they were read last; who needs them asks each time."""

    git: GitSettings
