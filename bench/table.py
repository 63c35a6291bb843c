"""Records as a table on the terminal, and numbers that a person can read."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records import Record, is_rate

HEAD = ("figure", "median", "min", "max", "n", "aim", "", "raw limit")


def number(value: float) -> str:
    """Three meaningful digits, thousands parted."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def line(record: Record) -> tuple[str, ...]:
    """The cells of one record."""
    sign = ">" if is_rate(record.unit) else "<"
    aim = "" if record.aim is None else f"{sign} {number(record.aim)}"
    verdict = {None: "", True: "ok", False: "MISSED"}[record.reached]
    raw = record.raw
    beside = "" if raw is None else f"{number(raw.value)} {raw.unit} ({raw.name})"
    return (
        record.name,
        f"{number(record.median)} {record.unit}",
        number(record.minimum),
        number(record.maximum),
        str(record.repetitions),
        aim,
        verdict,
        beside,
    )


def render(records: Sequence[Record]) -> str:
    """All records, one a line, in columns."""
    rows = [HEAD, *map(line, records)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    notes = [f"  {one.name}: {one.notes}" for one in records if one.notes]
    return "\n".join([*lines, *(["", "Notes", *notes] if notes else [])])
