"""Names and labels by which people find a job among containers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

LONGEST = 63
RANDOM = 5


def normalised(value: str | None) -> str | None:
    """A value fit for a label: at most 63 characters, not ending in a separator."""
    return None if value is None else value[:LONGEST].rstrip("-._")


def labels(
    names: Mapping[str, str], *, prefix: str = "", normalise: bool = True, lower: bool = False
) -> dict[str, str]:
    """The names of a job as labels."""
    found: dict[str, str] = {}
    for key, value in names.items():
        text = value.lower() if lower else value
        found[f"{prefix}{key}"] = (normalised(text) or "") if normalise else text
    return found


def job_name(namespace: str, flow_id: str, task_id: str, seed: str) -> str:
    """A name of letters, digits and hyphens, of at most 63 characters, unique for its seed."""
    words = "-".join((namespace, flow_id, task_id)).lower()
    words = re.sub(r"[^a-z0-9-]", "", words)[: LONGEST - RANDOM - 1].rstrip("-")
    return f"{words}-{hashlib.sha256(seed.encode()).hexdigest()[:RANDOM]}"
