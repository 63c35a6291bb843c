"""Operations on Git sources: look now, sync, apply what a deploy brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from penstock_runner.flow.report import record
from penstock_server.core.room import Answer, Operation, Room, instant
from penstock_server.sync.asked import Pin
from penstock_server.sync.declared import BadDeclaration
from penstock_server.sync.deploys import Deploy, DeployRefused
from penstock_server.sync.hearing import Delivery

Arguments = Mapping[str, Any]


def _telling(answer: Answer) -> Callable[[dict[str, Any] | Exception], None]:
    """What passes on a result, or why there is none."""

    def told(result: dict[str, Any] | Exception) -> None:
        if isinstance(result, Exception):
            answer.fail(result)
        else:
            answer.ok(result)

    return told


def hint(room: Room, a: Arguments, answer: Answer) -> None:
    """A verified webhook: look at the source soon. A delivery seen before changes nothing."""
    delivery = Delivery(
        source_id=a["source"],
        forge=a["forge"],
        event=a["event"],
        delivery_id=a.get("delivery_id"),
        after=a.get("after"),
        ping=bool(a.get("ping")),
    )
    room.sync.heard(delivery, _telling(answer))


def rejected(room: Room, a: Arguments, answer: Answer) -> None:
    """Deliveries came with a signature that is missing or wrong."""
    room.sync.rejected(a["source"], int(a["count"]))
    answer.ok()


def sync(room: Room, a: Arguments, answer: Answer) -> None:
    """Look at the source now, for what `aim` says; with `wait` the answer is the finished run."""
    waits = answer.ok if a.get("wait") else None
    room.sync.look(
        a["source"],
        trigger="manual",
        actor=a.get("actor"),
        aim=a.get("aim", "apply"),
        commit=a.get("commit"),
        confirm=a.get("confirm"),
        accept_rewrite=bool(a.get("accept_rewrite")),
        wait=waits,
    )
    if waits is None:
        answer.ok({"source": a["source"], "queued": True})


def rollback(room: Room, a: Arguments, answer: Answer) -> None:
    """Apply another commit of the source and stay there; answers with the finished run."""
    pin = Pin(by=a.get("actor"), reason=a.get("reason"), until=instant(a.get("until")))
    room.sync.rollback(a["source"], a["to"], pin, confirm=a.get("confirm"), wait=answer.ok)


def resume(room: Room, a: Arguments, answer: Answer) -> None:
    """Follow the repository again; answers with the finished run."""
    room.sync.resume(a["source"], actor=a.get("actor"), wait=answer.ok)


def declare(room: Room, a: Arguments, answer: Answer) -> None:
    """Add or change a source of the API."""
    roster = room.sync.roster
    try:
        roster.declare(a["source"], a["settings"], a.get("actor"), _telling(answer))
    except BadDeclaration as bad:
        answer.refuse(str(bad), bad.status, {"errors": bad.faults, "reason": "Invalid entity"})


def remove(room: Room, a: Arguments, answer: Answer) -> None:
    """Let go of a source of the API or of one configured no longer, with its flows when `prune`."""
    prune, told = bool(a.get("prune")), _telling(answer)
    room.sync.roster.remove(a["source"], prune=prune, actor=a.get("actor"), told=told)


def check(room: Room, a: Arguments, answer: Answer) -> None:
    """Try every step between this machine and a repository."""
    room.sync.check(a["source"], answer.ok)


def apply(room: Room, a: Arguments, answer: Answer) -> None:
    """Apply the flows that a CI job sends; refused as a whole when one of them cannot be."""
    deploy = Deploy(
        source=a["source"],
        found=a["found"],
        url=a["url"],
        actor=a.get("actor"),
        prune=bool(a.get("prune")),
        strict=bool(a.get("strict")),
        dry_run=bool(a.get("dry_run")),
        confirm=a.get("confirm"),
        via=a.get("via", "ci"),
    )
    try:
        room.sync.apply_files(deploy, _telling(answer))
    except DeployRefused as refused:
        errors = [record(fault) for fault in refused.faults]
        answer.refuse(str(refused), refused.status, {"errors": errors} if errors else None)


def measures(room: Room, _: Arguments, answer: Answer) -> None:
    """What core has counted since its start."""
    answer.ok(room.sync.measures.told())


OPERATIONS: Mapping[str, Operation] = {
    "git.apply": apply,
    "git.check": check,
    "git.declare": declare,
    "git.hint": hint,
    "git.measures": measures,
    "git.rejected": rejected,
    "git.remove": remove,
    "git.resume": resume,
    "git.rollback": rollback,
    "git.sync": sync,
}
