"""Sizes as task runners have them: `512MB`, `1g` or a number of bytes."""

from __future__ import annotations

import re
from typing import Any

from penstock_runner.taskrunners.api import SetupFailed

_SIZE = re.compile(r"(?i)\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*")


def size(name: str, value: Any) -> int | None:
    """The size in bytes; -1 is no limit."""
    if value is None:
        return None
    if str(value).strip() == "-1":
        return -1
    found = _SIZE.fullmatch(str(value))
    if found is None:
        raise SetupFailed(f"`{name}` of the task runner is no size: {value!r}; write e.g. 512MB")
    return int(float(found[1]) * 1024 ** " kmgt".index((found[2] or " ").lower()))
