"""Everything the processes of Penstock think with: language, engine, and the work itself."""

from __future__ import annotations
