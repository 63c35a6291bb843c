"""From a commit to revisions."""

from __future__ import annotations
