"""The service: from the commit to the page."""

from __future__ import annotations
