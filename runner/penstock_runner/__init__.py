"""Everything the processes of Penstock think with: the language, the engine, and the work itself."""

from __future__ import annotations
