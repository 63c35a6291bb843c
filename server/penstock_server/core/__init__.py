"""The core process: the only one that writes the store."""

from __future__ import annotations
