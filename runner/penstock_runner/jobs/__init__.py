"""The runner process: jobs, their processes, workspaces and logs."""

from __future__ import annotations
