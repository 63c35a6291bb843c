"""Alembic migrations."""

from __future__ import annotations
