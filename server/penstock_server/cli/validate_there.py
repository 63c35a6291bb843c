"""What a service says of flow files: it knows secrets, subflows, runners and types of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from penstock_runner.flow.faults import Fault, Severity
from penstock_server.cli.connection import Connection, connected

API = "/api/v1/main/flows/validate"


@lru_cache(maxsize=1)
def connection_to(server: str) -> Connection:
    """The service that is named; who asks is said by the usual variables."""
    known = os.environ  # noqa: TID251 - as the options of other verbs read them
    user, token = known.get("PENSTOCK_USER"), known.get("PENSTOCK_TOKEN")
    return connected(server, user, token, None)


def more_faults(connection: Connection, path: Path, here: Iterable[Fault]) -> list[Fault]:
    """What the service finds in a file that was not found here."""
    answer = connection.asked(
        "POST",
        API,
        content=path.read_bytes(),
        headers={"Content-Type": "application/x-yaml"},
    )
    known = list(here)
    places = {(one.code, one.line, one.column) for one in known}
    texts = {one.message for one in known}
    found: list[Fault] = []
    for judged in answer.json():
        errors = judged.get("errors") or ()
        found += [_fault(one, path) for one in errors if _place(one) not in places]
        found += [
            Fault(
                code="SERVER_WARNING",
                message=text,
                path=str(path),
                severity=Severity.WARNING,
                flow=_flow(judged),
            )
            for text in judged.get("warnings") or ()
            if text not in texts
        ]
    return found


def _fault(error: Mapping[str, Any], path: Path) -> Fault:
    return Fault(
        code=str(error.get("code")),
        message=str(error.get("message") or ""),
        path=str(path),
        line=int(error.get("line") or 1),
        column=int(error.get("column") or 1),
        pointer=str(error.get("pointer") or ""),
        hint=error.get("hint"),
        severity=Severity.ERROR,
    )


def _place(error: Mapping[str, Any]) -> tuple[str, int, int]:
    return str(error.get("code")), int(error.get("line") or 1), int(error.get("column") or 1)


def _flow(judged: Mapping[str, Any]) -> str:
    named = [str(judged[name]) for name in ("namespace", "flow") if judged.get(name)]
    return ".".join(named)
