"""Faults: what is wrong in what a person wrote, with the place of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# Of one file so many errors and so many warnings are kept; what is beyond helps nobody.
MAX_FAULTS = 200


class Severity(StrEnum):
    """An error blocks, a warning and a note do not."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault; lines and columns start at 1, `pointer` is a JSON pointer."""

    code: str
    message: str
    path: str = ""
    line: int = 1
    column: int = 1
    end_line: int | None = None
    end_column: int | None = None
    pointer: str = ""
    flow: str = ""
    hint: str | None = None
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.path}:{self.line}:{self.column} {self.code} {self.message}{hint}"
