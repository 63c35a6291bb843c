"""Where a script runs."""

from __future__ import annotations
