"""Reading Git repositories without ever checking one out."""

from __future__ import annotations
