"""Triggers and their dates."""

from __future__ import annotations
