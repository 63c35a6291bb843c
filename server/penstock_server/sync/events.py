"""What happens to Git sources, as lines of the log: a name, then what it concerns.

A line reads `git.applied source=main commit=4f2c9d1 run=...`; a log of JSON has the fields one by
one.
"""

from __future__ import annotations

import logging


def event(
    log: logging.Logger, level: int, name: str, text: str = "", **fields: str | int | None
) -> None:
    """Log an event; fields without a value are left out."""
    known = {key: value for key, value in fields.items() if value is not None}
    line = " ".join([name, *(f"{key}={value}" for key, value in known.items())])
    log.log(
        level,
        "%s%s",
        line,
        f": {text}" if text else "",
        extra={"event": name, "fields": {**known, **({"text": text} if text else {})}},
    )
