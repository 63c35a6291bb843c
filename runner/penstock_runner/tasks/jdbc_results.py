"""What all database tasks share: how results are asked for, and the form in which they come out."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from penstock_runner.flow import durations
from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import RunContext, TaskFailed, TaskProperties, Typed
from penstock_runner.tasks.items import plain_number
from penstock_runner.tasks.stored import put_items

FetchType = Literal["NONE", "FETCH", "FETCH_ONE", "STORE"]
Row = dict[str, object]


class FetchProperties(TaskProperties):
    """How the rows of a result are given back."""

    sql: str
    time_zone_id: str | None = None
    fetch_type: FetchType = "NONE"
    fetch: bool = False
    fetch_one: bool = False
    store: bool = False
    fetch_size: int = 10_000
    parameters: Annotated[Mapping[str, object] | None, Typed()] = None

    @property
    def wanted(self) -> FetchType:
        """How, with the old booleans taken into account."""
        if self.fetch_type != "NONE":
            return self.fetch_type
        if self.store:
            return "STORE"
        if self.fetch_one:
            return "FETCH_ONE"
        return "FETCH" if self.fetch else "NONE"

    @property
    def zone(self) -> tzinfo:
        """The zone in which moments are shown."""
        if self.time_zone_id is None:
            return UTC
        try:
            return ZoneInfo(self.time_zone_id)
        except (LookupError, ValueError, OSError):
            raise TaskFailed(f"`timeZoneId` {self.time_zone_id!r} is no time zone") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSet:
    """The rows of one statement, not yet read."""

    columns: Sequence[str]
    rows: Iterable[Sequence[object]]


def given_back(
    ctx: RunContext, result: ResultSet | None, how: FetchType, zone: tzinfo
) -> dict[str, object]:
    """The outputs for one result: `row`, `rows` or `uri`, and `size`."""
    if result is None:
        return {}
    match how:
        case "NONE":
            ctx.log(Level.DEBUG, "fetchType is set to NONE, no output will be returned")
            return {}
        case "FETCH_ONE":
            first = next(_rows(result, zone), None)
            return {"row": first, "size": 0 if first is None else 1}
        case "FETCH":
            rows = list(_rows(result, zone))
            return {"rows": rows, "size": len(rows)}
        case "STORE":
            uri, size = put_items(ctx, _rows(result, zone), "rows.ion")
            return {"uri": uri, "size": size}


def _rows(result: ResultSet, zone: tzinfo) -> Iterator[Row]:
    for row in result.rows:
        yield {
            name: cell(value, name, zone) for name, value in zip(result.columns, row, strict=True)
        }


def cell(value: object, column: str, zone: tzinfo) -> object:
    """A value of a database as plain data."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Decimal():
            return plain_number(value)
        case datetime():
            moment = value.astimezone(zone) if value.tzinfo else value.replace(tzinfo=zone)
            return moment.isoformat().replace("+00:00", "Z")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return durations.to_iso(value)
        case UUID():
            return str(value)
        case bytes() | memoryview():
            return base64.b64encode(value).decode()
        case Mapping():
            return {str(key): cell(item, column, zone) for key, item in value.items()}
        case list() | tuple():
            return [cell(item, column, zone) for item in value]
        case _:
            return _rarer(value, column)


def _rarer(value: object, column: str) -> str:
    if type(value).__module__.startswith(("ipaddress", "psycopg.types")):
        return str(value)
    raise TaskFailed(
        f"Data of type '{type(value).__name__}' for column '{column}' is not supported"
    )
