"""Settings: what the service is told, and from where it may be told."""

from __future__ import annotations

from penstock_server.config.faults import BadSettings
from penstock_server.config.reading import Told, read_settings
from penstock_server.config.retention import RetentionSection
from penstock_server.config.runners import RunnerSection
from penstock_server.config.secrets import decoded_secret, fault_of, read_env_file
from penstock_server.config.section import Section
from penstock_server.config.settings import (
    BasicAuth,
    GitSection,
    Settings,
)

__all__ = [
    "BadSettings",
    "BasicAuth",
    "GitSection",
    "RetentionSection",
    "RunnerSection",
    "Section",
    "Settings",
    "Told",
    "decoded_secret",
    "fault_of",
    "read_env_file",
    "read_settings",
]
