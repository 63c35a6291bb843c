"""Operations on Git sources: look now, sync, apply what a deploy brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_server.core.room import Answer, Operation, Room

Arguments = Mapping[str, Any]


def hint(room: Room, a: Arguments, answer: Answer) -> None:
    """A verified webhook: look at the source soon. A delivery seen before changes nothing."""
    room.sync.hint(a["source"], a.get("delivery_id"))
    answer.ok({"queued": True})


def sync(room: Room, a: Arguments, answer: Answer) -> None:
    """Look at the source now; with `wait` the answer is the finished run."""
    if a.get("dry_run"):
        answer.refuse(
            "a look that applies nothing is not built yet; `penstock validate` checks files", 501
        )
        return
    waits = answer.ok if a.get("wait") else None
    room.sync.look(
        a["source"],
        trigger="manual",
        actor=a.get("actor"),
        confirm=a.get("confirm"),
        wait=waits,
    )
    if waits is None:
        answer.ok({"source": a["source"], "queued": True})


OPERATIONS: Mapping[str, Operation] = {
    "git.hint": hint,
    "git.sync": sync,
}
