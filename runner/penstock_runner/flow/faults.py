"""Faults: what is wrong in what a person wrote, with the place of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    """One fault; lines and columns start at 1, `pointer` is a JSON pointer.

    `formal` is the message as clients of the language's API expect it, where that differs.
    """

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
    formal: str | None = None

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.path}:{self.line}:{self.column} {self.code} {self.message}{hint}"


def misspelt(faults: Iterable[Fault]) -> frozenset[str]:
    """The pointers of properties that are there, but under a misspelt name."""
    return frozenset(
        fault.pointer.rpartition("/")[0] + "/" + fault.hint.split("'")[1]
        for fault in faults
        if fault.code == "UNKNOWN_PROPERTY" and fault.hint and "'" in fault.hint
    )


def without_echoes(faults: Sequence[Fault], told: Sequence[Fault] = ()) -> list[Fault]:
    """The faults without those about a lack that a misspelt name explains already."""
    known = misspelt((*told, *faults))
    return [f for f in faults if f.code != "MISSING_PROPERTY" or f.pointer not in known]
