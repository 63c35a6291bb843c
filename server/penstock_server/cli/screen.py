"""How things look in a terminal: colours of states, tables, durations, moments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

COLOURS: Mapping[str, str] = {
    "ERROR": "red",
    "WARN": "yellow",
    "DEBUG": "bright_black",
    "TRACE": "bright_black",
    "SUCCESS": "green",
    "WARNING": "yellow",
    "FAILED": "red",
    "KILLED": "red",
    "RUNNING": "blue",
}


def examples(*lines: str) -> str:
    """Commands for the end of a help text, each on a line of its own."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def counted(number: int, noun: str) -> str:
    """A number and its noun: 1 error, 2 errors."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, colour: int) -> str:
    """Aligned columns; the words of column `colour` are painted like states."""
    printed = [[_printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *printed, strict=True)]
    lines = ["  ".join(head.ljust(width) for head, width in zip(heads, widths, strict=True))]
    for row in printed:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[colour] = click.style(cells[colour], fg=COLOURS.get(row[colour]))
        lines.append("  ".join(cells))
    return "\n".join(line.rstrip() for line in lines)


def duration(seconds: float) -> str:
    """A duration as people say it: 0.42 s, 3 m 12 s, 2 h 5 m."""
    if seconds < 60:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} m"


def moment(text: str) -> str:
    """An ISO instant of the API without its letters and fractions: 2026-01-31 12:00:00."""
    return text[:19].replace("T", " ")


def _printable(cell: str) -> str:
    """One line, with nothing that moves the cursor."""
    return "".join(c if c.isprintable() else " " for c in cell)
