"""Operations on templates: save and delete. Texts were checked by whoever asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_runner.executor.messages import Refused
from penstock_runner.executor.store import Write
from penstock_server.core.room import Answer, Operation, Room
from penstock_server.store import templates
from penstock_server.store.engine import Tx

Arguments = Mapping[str, Any]


def save(room: Room, a: Arguments, answer: Answer) -> None:
    """Store one template; `mode` is create, update or upsert."""
    room.write(answer, [_saving(room, a, a.get("mode", "upsert"))])


def _saving(room: Room, a: Arguments, mode: str) -> Write:
    namespace, template_id = a["namespace"], a["id"]

    def write(tx: Tx) -> None:
        known = templates.get(tx.connection, namespace, template_id)
        if mode == "create" and known is not None:
            raise Refused("template.id: Template id already exists")
        if mode == "update" and known is None:
            raise Refused("Not Found", status=404)
        template = templates.StoredTemplate(
            namespace=namespace, id=template_id, source=a["source"], updated_at=room.clock.now()
        )
        templates.put(tx.connection, template)

    return write


def delete(room: Room, a: Arguments, answer: Answer) -> None:
    """Delete the templates named in `names`; the answer is how many there were."""
    gone: list[tuple[str, str]] = []

    def write(tx: Tx) -> None:
        for namespace, template_id in a["names"]:
            if templates.remove(tx.connection, namespace, template_id):
                gone.append((namespace, template_id))

    room.write(answer, [write], value=lambda: len(gone))


def replace_namespace(room: Room, a: Arguments, answer: Answer) -> None:
    """Store all templates of a namespace in one transaction; with `delete` the others go."""
    namespace = a["namespace"]
    writes = [_saving(room, one, "upsert") for one in a["templates"]]
    kept = {one["id"] for one in a["templates"]}

    def remove(tx: Tx) -> None:
        for one in templates.of_namespace(tx.connection, namespace):
            if one.id not in kept:
                templates.remove(tx.connection, namespace, one.id)

    if a.get("delete"):
        writes.append(remove)
    room.write(answer, writes)


OPERATIONS: Mapping[str, Operation] = {
    "template.save": save,
    "template.delete": delete,
    "template.replace_namespace": replace_namespace,
}
