"""Settings: what the service is told, and from where it may be told."""

from __future__ import annotations

from penstock_server.config.faults import BadSettings
from penstock_server.config.reading import Told, read_settings
from penstock_server.config.secrets import decoded_secret, read_env_file
from penstock_server.config.settings import (
    BasicAuth,
    GitSection,
    RunnerSection,
    Section,
    Settings,
)

__all__ = [
    "BadSettings",
    "BasicAuth",
    "GitSection",
    "RunnerSection",
    "Section",
    "Settings",
    "Told",
    "decoded_secret",
    "read_env_file",
    "read_settings",
]
