"""What happens next in an execution: pure decisions."""

from __future__ import annotations
