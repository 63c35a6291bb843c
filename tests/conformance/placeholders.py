"""`${...}` in cases: dates around one `now`, repeated text, local files, names of the run."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import isodate
from tests.conformance.cases import Context

_DATE = re.compile(
    r"(second-now|minute-now|hour-now|month-start|time-now|today|now)((?:[+-]P[0-9A-Z.]+)*)"
    r"(?:, *second=(\d+))?"
)
_NAMED = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholders:
    """Replaces placeholders in the values of one case.

    `named` answers the names that only a family knows (`execution.id`, `exec:a.id`);
    it gives None for a name that it does not know.
    """

    context: Context
    folder: Path
    named: Callable[[str], object | None] = lambda _name: None
    unique: str = field(default="u-case")

    def fill(self, value: Any) -> Any:
        """The value with every known placeholder replaced, deeply; unknown ones stay."""
        if isinstance(value, str):
            whole = _NAMED.fullmatch(value)
            if whole:
                found = self._lookup(whole[1])
                return value if found is None else found
            return _NAMED.sub(self._text, value)
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, dict):
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        return value

    def _text(self, match: re.Match[str]) -> str:
        found = self._lookup(match[1])
        return match[0] if found is None else str(found)

    def _lookup(self, name: str) -> object | None:
        found = self.named(name)
        if found is not None:
            return found
        if name == "unique":
            return self.unique
        kind, _, argument = name.partition(":")
        match kind:
            case "local_file":
                return self._local_file(argument)
            case "repeat":
                text, _, count = argument.rpartition(",")
                return text * int(count)
            case "flow_source":
                return self._flow_source(argument)
            case _:
                return self._date(name)

    def _local_file(self, argument: str) -> str:
        name, _, content = argument.partition("=")
        path = self.folder / name
        if not path.exists():
            path.write_text(content or f"content of {name}\n", encoding="utf-8")
        return str(path)

    def _flow_source(self, argument: str) -> str:
        name, _, namespace = argument.partition(" with the namespace line set to ")
        text = self.context.flow_path(name).read_text(encoding="utf-8")
        if namespace:
            text = re.sub(r"(?m)^namespace:.*$", f"namespace: {namespace}", text)
        return text

    def _date(self, name: str) -> str | None:
        found = _DATE.fullmatch(name)
        if found is None:
            return None
        moment = _truncated(found[1], self.context.now.astimezone())
        for period in re.findall(r"[+-]P[0-9A-Z.]+", found[2]):
            length = isodate.parse_duration(period[1:])
            moment = moment + length if period[0] == "+" else moment - length
        if found[3]:
            moment = moment.replace(second=int(found[3]))
        if found[1] == "today":
            return moment.date().isoformat()
        if found[1] == "time-now":
            return moment.time().isoformat()
        return moment.isoformat()


def _truncated(kind: str, now: datetime) -> datetime:
    match kind:
        case "second-now":
            return now.replace(microsecond=0)
        case "minute-now":
            return now.replace(second=0, microsecond=0)
        case "hour-now":
            return now.replace(minute=0, second=0, microsecond=0)
        case "today":
            return now.replace(hour=0, minute=0, second=0, microsecond=0)
        case "month-start":
            return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        case _:
            return now + timedelta()
