"""The only room that knows SQL."""

from __future__ import annotations
