"""Runs the command `penstock` as a process of its own, as people do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 90
OURS = ("PENSTOCK_", "KESTRA_", "SECRET_", "ENV_", "GITHUB_", "CI_")

LOG = """id: {id}
namespace: {namespace}
tasks:
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: {message}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as one JSON value."""
        return json.loads(self.out)


def penstock(*arguments: object, folder: Path | None = None, **environment: str) -> Ended:
    """Run a command to its end. No traceback is an answer to anything."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    done = subprocess.run(
        [sys.executable, "-m", "penstock_server", *map(str, arguments)],
        env={**inherited, **environment},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr)


def log_flow(flow_id: str, message: str = "hello", namespace: str = "team.one") -> str:
    """A flow that writes one line."""
    return LOG.format(id=flow_id, message=message, namespace=namespace)
