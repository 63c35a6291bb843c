"""The flow language as typed values: reading, checking, inputs."""

from __future__ import annotations
