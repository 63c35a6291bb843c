"""A clean start for the service: its processes carry no secret in their environment.

The command executes itself again with a handful of harmless variables; everything else travels to
the new process in memory. Nothing but the standard library is imported here: it is paid twice.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence

HANDED_OVER = "PENSTOCK_HANDED_OVER"
KEPT = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUNBUFFERED",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NO_COLOR",
    "FORCE_COLOR",
    "COVERAGE_PROCESS_START",
)


def needs_clean_start(arguments: Sequence[str]) -> bool:
    """Whether the verb is `server`, about to serve, and not yet in a clean environment."""
    helps = {"-h", "--help"} & set(arguments)
    return arguments[:1] == ["server"] and not helps and HANDED_OVER not in os.environ  # noqa: TID251 - the clean start


def start_clean() -> None:
    """Become the same command again, in a clean environment; does not return."""
    environment = dict(os.environ)  # noqa: TID251 - the clean start
    memory = os.memfd_create("penstock", 0)
    os.write(memory, json.dumps(environment).encode())
    os.lseek(memory, 0, os.SEEK_SET)
    os.set_inheritable(memory, True)  # noqa: FBT003 - the standard library's own signature
    clean = {name: environment[name] for name in KEPT if name in environment}
    clean[HANDED_OVER] = str(memory)
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-m", "penstock_server", *sys.argv[1:]]
    os.execve(sys.executable, command, clean)  # noqa: S606 - no shell is meant


def handed_over() -> Mapping[str, str]:
    """The environment that the command was first started with."""
    given = os.environ.pop(HANDED_OVER, None)  # noqa: TID251 - the clean start
    if given is None:
        return dict(os.environ)  # noqa: TID251 - started by other means
    with os.fdopen(int(given), "rb") as stream:
        environment: Mapping[str, str] = json.loads(stream.read())
    return environment
