"""The REST interface."""

from __future__ import annotations
