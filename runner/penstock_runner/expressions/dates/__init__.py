"""Dates: what counts as one, Java's patterns, and their names."""

from __future__ import annotations
