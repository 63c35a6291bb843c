"""The exit codes of all verbs."""

from __future__ import annotations

FINE = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
UNAUTHORISED = 4
REFUSED = 5
SKIPPED = 6
CHANGES = 10
INTERRUPTED = 130
