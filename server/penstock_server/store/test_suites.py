"""Test suites that commits and deploys bring: the text of each, and who keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, delete, func, select, tuple_, update

from penstock_server.store import upserts
from penstock_server.store.schema import test_suites

_AT_ONCE = 200
Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSuite:
    """One suite, about one flow of its namespace."""

    __test__ = False  # no test of ours

    namespace: str
    id: str
    flow_id: str
    source: str
    digest: str
    updated_at: datetime
    managed_by: str | None = None
    commit_sha: str | None = None
    git_path: str | None = None
    git_blob: str | None = None
    sync_run_id: str | None = None

    @property
    def key(self) -> Key:
        """Namespace and id."""
        return (self.namespace, self.id)


def put(connection: Connection, suites: Sequence[TestSuite]) -> None:
    """Write suites, over those of the same name."""
    upserts.put(connection, test_suites, [upserts.values_of(one) for one in suites])


def remove(connection: Connection, keys: Sequence[Key]) -> None:
    """Delete suites by name."""
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        connection.execute(delete(test_suites).where(_name.in_(some)))


def at(connection: Connection, keys: Sequence[Key]) -> list[TestSuite]:
    """The suites of these names, whoever keeps them."""
    found: list[TestSuite] = []
    for start in range(0, len(keys), _AT_ONCE):
        found += _found(connection, _all().where(_name.in_(keys[start : start + _AT_ONCE])))
    return found


def of_source(connection: Connection, source_id: str) -> list[TestSuite]:
    """The suites that a source keeps."""
    return _found(connection, _all().where(test_suites.c.managed_by == source_id))


def page(
    connection: Connection,
    *,
    namespace: str | None = None,
    flow_id: str | None = None,
    limit: int,
    offset: int = 0,
) -> tuple[list[TestSuite], int]:
    """Suites by name, of a namespace with those below it, of a flow; and how many there are."""
    chosen = _all()
    if namespace is not None:
        below = test_suites.c.namespace.startswith(f"{namespace}.", autoescape=True)
        chosen = chosen.where((test_suites.c.namespace == namespace) | below)
    if flow_id is not None:
        chosen = chosen.where(test_suites.c.flow_id == flow_id)
    total = connection.scalar(select(func.count()).select_from(chosen.subquery())) or 0
    ordered = chosen.order_by(test_suites.c.namespace, test_suites.c.id)
    return _found(connection, ordered.limit(limit).offset(offset)), total


def set_free(connection: Connection, source_id: str) -> None:
    """Let the suites of a source stay and belong to nobody."""
    mine = test_suites.c.managed_by == source_id
    connection.execute(update(test_suites).where(mine).values(managed_by=None))


_name = tuple_(test_suites.c.namespace, test_suites.c.id)


def _all() -> Select[tuple[object, ...]]:
    return select(test_suites)


def _found(connection: Connection, chosen: Select[tuple[object, ...]]) -> list[TestSuite]:
    return [TestSuite(**row) for row in connection.execute(chosen).mappings()]
