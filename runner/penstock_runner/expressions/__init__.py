"""The expression language between double braces."""

from __future__ import annotations
