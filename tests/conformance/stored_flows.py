"""Flows that a case imports, over a store of SQLite with the operations of the service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from penstock_runner.flow.parse import parse_flow
from penstock_server.store import flows, migrations
from penstock_server.store.engine import Database, open_store
from penstock_server.sync.deciding import live_flow
from penstock_server.sync.plan import Desired, Options, plan

_TEXT = "id: {id}\nnamespace: team\ndescription: '{number}'\ntasks: []\n"


def import_reason(steps: Sequence[Mapping[str, Any]]) -> str | None:
    """Import texts one after the other; a dry run is a plan that is not carried out."""
    with _store() as database:
        for step in steps:
            found = _imported(database, step["import"], dry=bool(step.get("dry_run")))
            wanted = {name: step["expect"][name] for name in step["expect"]}
            told = {name: found[name] for name in wanted}
            if told != wanted:
                return f"the import gave {told}, expected {wanted}"
    return None


def last_revisions(flows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is left of flows that are saved and deleted in this order."""
    with _store() as database:
        for number, one in enumerate(flows):
            _save_or_delete(database, one, number)
        names = {one["id"] for one in flows}
        with database.read() as connection:
            heads = {name: _head(connection, name) for name in names}
        alive = {name: head for name, head in heads.items() if head and not head.deleted}
        return {"revisions": {name: head.revision for name, head in alive.items()}}


@contextmanager
def _store() -> Iterator[Database]:
    with TemporaryDirectory() as folder:
        database = open_store(f"sqlite:///{Path(folder) / 'flows.db'}")
        try:
            migrations.upgrade(database)
            yield database
        finally:
            database.close()


def _imported(database: Database, source: str, *, dry: bool) -> dict[str, Any]:
    flow = parse_flow(source).flow
    assert flow is not None
    key = (flow.namespace, flow.id)
    desired = Desired(
        namespace=flow.namespace, id=flow.id, path="flow.yml", digest=flows.digest(source)
    )
    with database.begin() as tx:
        live = [live_flow(head) for head in flows.heads(tx.connection, [key]).values()]
        [item] = plan([desired], live, {}, Options(source=None)).items
        if not dry:
            save = flows.Save(namespace=flow.namespace, id=flow.id, source=source)
            flows.save_revision(tx.connection, save, now=datetime.now(UTC))
        head = flows.head(tx.connection, *key)
        stored = flows.texts(tx.connection, [(*key, head.revision)] if head else [])
    return {
        "revision": item.next_revision or (item.live.revision if item.live else None),
        "stored_revision": head.revision if head else None,
        "stored_source": next(iter(stored.values()), None),
    }


def _save_or_delete(database: Database, one: Mapping[str, Any], number: int) -> None:
    now = datetime.now(UTC)
    with database.begin() as tx:
        if one["deleted"]:
            flows.mark_deleted(tx.connection, [("team", one["id"])], now=now)
            return
        source = _TEXT.format(id=one["id"], number=number)
        save = flows.Save(namespace="team", id=one["id"], source=source)
        flows.save_revision(tx.connection, save, now=now)


def _head(connection: Any, flow_id: str) -> flows.Head | None:
    return flows.head(connection, "team", flow_id)
