"""The composition root: the only place where all parts of the service meet."""

from __future__ import annotations
