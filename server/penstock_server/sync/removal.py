"""Letting go of a source: its flows stay and belong to nobody, or are deleted with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from penstock_runner.executor.messages import Outcome
from penstock_runner.executor.store import Write
from penstock_server.store import flows, sources
from penstock_server.sync.held import Around

log = logging.getLogger(__name__)

Told = Callable[[dict[str, Any] | Exception], None]


def remove(
    around: Around,
    source_id: str,
    *,
    prune: bool,
    actor: str | None,
    told: Told,
    writes: Sequence[Write] = (),
) -> None:
    """Forget a source in one transaction; `told` hears what became of its flows."""
    gone: list[tuple[str, str]] = []
    kept: list[tuple[str, str]] = []

    def write(tx: Any) -> None:
        now = around.clock.now()
        heads = flows.list_heads(tx.connection, managed_by=source_id)
        names = [(head.namespace, head.id) for head in heads]
        (gone if prune else kept).extend(names)
        if prune:
            flows.mark_deleted(tx.connection, names, now=now, by=actor)
            if around.triggers is not None:
                around.triggers.flows_deleted(tx, names)
        sources.remove_source(tx.connection, source_id, now=now)

    def done(outcome: Outcome) -> None:
        if outcome.error is not None:
            told(outcome.error)
            return
        around.on_flows_changed([*gone, *kept])
        log.info("git.removed source=%s by=%s pruned=%d", source_id, actor, len(gone))
        told({"source": source_id, "removed": True, "deleted": len(gone), "kept": len(kept)})

    around.starter.transact(writes=[write, *writes], done=done)
