"""What a runnable task does, one file a family."""

from __future__ import annotations
