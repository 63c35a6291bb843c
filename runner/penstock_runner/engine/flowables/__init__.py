"""The tasks that only order other tasks, one file each."""

from __future__ import annotations
