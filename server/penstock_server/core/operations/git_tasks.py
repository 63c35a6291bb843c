"""Operations for Git tasks: sync a namespace from Git, and give out what is to be pushed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_server.core.room import Answer, Operation, Room
from penstock_server.store import flows
from penstock_server.sync.task_plans import Scope
from penstock_server.sync.task_syncs import TaskSync

Arguments = Mapping[str, Any]
GIVEN_AT_ONCE = 200


def start(room: Room, a: Arguments, answer: Answer) -> None:
    """Begin to look at a repository for a task; the answer is a ticket."""
    scope = dict(a["scope"])
    running = scope.pop("running", None)
    wanted = TaskSync(
        described=a["source"],
        scope=Scope(**scope, running=tuple(running) if running else None),
        actor=str(a["actor"])[:200],
    )
    answer.ok(room.sync.tasks.start(wanted))


def result(room: Room, a: Arguments, answer: Answer) -> None:
    """What a task's sync has done; None while the git process is busy."""

    def told(value: dict[str, Any] | Exception | None) -> None:
        if isinstance(value, Exception):
            answer.fail(value)
        else:
            answer.ok(value)

    room.sync.tasks.result(a["ticket"], told)


def sources(room: Room, a: Arguments, answer: Answer) -> None:
    """Texts of the flows of a namespace, some at a time, after the one named."""
    namespace, after = a["namespace"], tuple(a.get("after") or ())
    with room.database.read() as connection:
        heads = [
            head
            for head in flows.list_heads(connection, namespace=namespace)
            if (a.get("children") or head.namespace == namespace)
            and (head.namespace, head.id) > after
        ][:GIVEN_AT_ONCE]
        texts = flows.texts(connection, [(one.namespace, one.id, one.revision) for one in heads])
    answer.ok(
        [
            {
                "namespace": one.namespace,
                "id": one.id,
                "source": texts[one.namespace, one.id, one.revision],
            }
            for one in heads
        ]
    )


def bring(room: Room, a: Arguments, answer: Answer) -> None:
    """Have a commit of a source fetched into its store; whether it is there by now."""
    answer.ok(room.sync.bringing.ask(str(a["source"]), str(a["commit"])))


OPERATIONS: Mapping[str, Operation] = {
    "git.bring": bring,
    "git.task.start": start,
    "git.task.result": result,
    "git.task.sources": sources,
}
