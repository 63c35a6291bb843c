"""The parts of conditions that lists share, and how a list is cut into pages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, case, func, or_

SYSTEM_NAMESPACE = "system"
MAX_OFFSET = 2**40

Condition = ColumnElement[bool]


class UnknownSort(ValueError):
    """The list cannot be sorted by this field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """One page of a list; `sort` holds field names with whether they descend."""

    page: int = 1
    size: int = 10
    sort: tuple[tuple[str, bool], ...] = ()


def values_of(row: Row[Any]) -> dict[str, Any]:
    """The row as a map from column to value."""
    return dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name


def equal(wanted: Mapping[Any, object | None]) -> Iterable[Condition]:
    return (column == value for column, value in wanted.items() if value is not None)


def between(
    column: ColumnElement[datetime], start: datetime | None, end: datetime | None
) -> Iterable[Condition]:
    if start is not None:
        yield column >= start
    if end is not None:
        yield column <= end


def in_namespace(
    column: ColumnElement[str], namespace: str | None, *, exact: bool
) -> Iterable[Condition]:
    if namespace is None:
        return
    if exact:
        yield column == namespace
    else:
        yield or_(column == namespace, column.startswith(namespace + ".", autoescape=True))


def in_scope(column: ColumnElement[str], scopes: Collection[str]) -> Iterable[Condition]:
    if len(set(scopes)) == 1:
        system = column == SYSTEM_NAMESPACE
        yield system if "SYSTEM" in scopes else column != SYSTEM_NAMESPACE


def like(column: ColumnElement[str], value: str) -> list[Condition]:
    """Equal to a value; or beginning with it, when it ends in `*`. The index serves both."""
    begins = value.removesuffix("*")
    if begins == value:
        return [column == value]
    if not begins:
        return []
    return [column >= begins, column < begins[:-1] + chr(min(ord(begins[-1]) + 1, 0x10FFFF))]


def contains(text: str, *columns: ColumnElement[str]) -> Condition:
    lowered = text.strip().strip("*").lower()
    return or_(*(func.lower(column).contains(lowered, autoescape=True) for column in columns))


def sorted_page(
    query: Select[Any],
    paging: Paging,
    sorts: Mapping[str, ColumnElement[Any]],
    *otherwise: ColumnElement[Any],
) -> Select[Any]:
    order: list[ColumnElement[Any]] = []
    for name, descending in paging.sort:
        if name not in sorts:
            known = ", ".join(sorted(sorts))
            raise UnknownSort(f"cannot sort by '{name}'; what can be sorted by: {known}")
        column = sorts[name]
        # Databases disagree on where values that are not there go: last, for both.
        order.append(case((column.is_(None), 1), else_=0))
        order.append(column.desc() if descending else column.asc())
    offset = min((paging.page - 1) * paging.size, MAX_OFFSET)
    return query.order_by(*order, *otherwise).limit(paging.size).offset(offset)
