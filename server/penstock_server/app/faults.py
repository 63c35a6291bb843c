"""What can be in the way of a start."""

from __future__ import annotations


class CannotStart(Exception):
    """The service cannot start; the message says what is in the way and what to do."""
