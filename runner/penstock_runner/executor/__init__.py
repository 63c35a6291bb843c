"""The drain loop: events in, one transaction out."""

from __future__ import annotations
