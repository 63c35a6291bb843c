"""Writing an applied commit: one transaction with everything that follows from a plan.

`Application` holds what was decided. `prepare` makes all rows ready, bit by bit, while others go
on, and puts them aside when they are many; `write`, called with the store's open transaction, only
hands them over. Readers see the commit before or the commit after, never something between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from penstock_runner.flow.model import Flow, Trigger
from penstock_server.store import flows, sources, syncs
from penstock_server.store.bulk import Bound
from penstock_server.store.faults import StoreUnavailable
from penstock_server.store.flow_batches import Live as Stored
from penstock_server.store.flow_batches import ReadyFlows
from penstock_server.store.staging import Staging
from penstock_server.sync.desired import (
    Contents,
    FlowText,
    Manifest,
    entries_of,
    manifest_of,
)
from penstock_server.sync.file_changes import write_files
from penstock_server.sync.plan import SAVED, Action, Item, Key, SyncPlan
from penstock_server.sync.rows import commit_of, sync_item
from penstock_server.sync.settings import SourceSettings
from penstock_server.sync.suites import write_suites

AT_ONCE = 100
Open = Callable[[], AbstractContextManager[Any]]


class TriggerRows(Protocol):
    """Who keeps the rows of triggers (the scheduler)."""

    def ready(self, connection: Any, flows: Sequence[Flow], now: datetime) -> Any:
        """What new texts of flows mean for their triggers, to be written later."""
        ...

    def stage(self, tx: Any, made: Any, staging: Staging) -> None:
        """Put it aside."""
        ...

    def write_staged(self, tx: Any, staging: Staging) -> None:
        """Write all that was put aside."""
        ...

    def write_ready(self, tx: Any, made: Any) -> None:
        """Write it, or what is left of it when it was put aside."""
        ...

    def flows_deleted(self, tx: Any, names: Sequence[Key]) -> None:
        """Flows are gone."""
        ...


@dataclass(slots=True, kw_only=True)
class Application:
    """A plan that may be applied, with the texts and the commit that it comes from."""

    source: SourceSettings
    run_id: str
    plan: SyncPlan
    contents: Contents
    manifest: Manifest
    commit: Mapping[str, Any]
    commits: Sequence[Mapping[str, Any]]
    ref: str
    now: datetime
    triggers: TriggerRows | None = None
    via: str = "git"
    owned: bool = True
    revisions: dict[Key, int] = field(default_factory=dict)
    new_manifest: dict[str, dict[str, Any]] = field(default_factory=dict)
    _ready: bool = False
    _flows: ReadyFlows = field(default_factory=ReadyFlows)
    _triggers: list[Any] = field(default_factory=list)
    _items: list[Bound] = field(default_factory=list)
    _packed: str = ""
    _staging: Staging = field(init=False)

    def __post_init__(self) -> None:
        """Have a place of its own to put rows aside."""
        self._staging = Staging(self.run_id)

    @property
    def changed(self) -> list[Key]:
        """The flows whose head moves."""
        moved = (*SAVED, Action.PRUNED)
        return [item.key for item in self.plan.of(*moved) if item.is_flow]

    def prepare(self, read: Open, begin: Open | None = None) -> Iterator[None]:
        """Make all rows ready, some at a time; raises `Outdated` when a flow has changed.

        With `begin`, which opens a transaction, many rows are put aside as they get ready; `forget`
        removes them in the end.
        """
        texts = {flow.desired.key: flow for flow in self.contents.flows}
        saved = [item for item in self.plan.of(*SAVED) if item.is_flow]
        aside = begin if len(self.plan.changes) > AT_ONCE else None
        for start in range(0, len(saved), AT_ONCE):
            with read() as connection:
                self._prepare_flows(connection, saved[start : start + AT_ONCE], texts)
            yield
            if aside is not None:
                with aside() as tx:
                    self._stage(tx)
                yield
        self._prepare_deletions()
        self.revisions = {
            item.key: item.live.revision for item in self.plan.items if item.live is not None
        }
        self.revisions |= {(head.namespace, head.id): head.revision for head in self._flows.heads}
        yield
        changes = self.plan.changes
        for start in range(0, len(changes), 2 * AT_ONCE):
            some = enumerate(changes[start : start + 2 * AT_ONCE], start)
            self._items += [self._item(place, item) for place, item in some]
            yield
            if aside is not None:
                with aside() as tx:
                    syncs.stage_items(tx, self._items, self._staging)
                self._items.clear()
                yield
        if self.owned:
            self.new_manifest = manifest_of(
                self.contents, self.revisions, self.manifest, self.contents.invalid
            )
            yield
            self._packed = sources.packed(entries_of(self.new_manifest))
        self._ready = True

    def write(self, tx: Any) -> None:
        """Save and delete flows and files; write the manifest and the items of the run.

        Raises `Outdated` when a flow has changed since the plan was made.
        """
        if not self._ready:
            for _ in self.prepare(lambda: nullcontext(tx.connection)):
                pass
        self._flows.write(tx, self._staging)
        self._let_go(tx)
        self._tell_triggers(tx)
        write_files(
            tx,
            self.plan,
            self.contents,
            owner=self.source.id if self.owned else None,
            run_id=self.run_id,
            now=self.now,
        )
        write_suites(
            tx,
            self.plan,
            self.contents.tests,
            owner=self.source.id if self.owned else None,
            run_id=self.run_id,
            now=self.now,
        )
        if self.owned:
            self._remember(tx)
        syncs.add_bound_items(tx, self._items, self._staging)

    def forget(self, begin: Open) -> None:
        """Remove what was put aside."""
        if not self._staging.used:
            return
        # A store that cannot be reached has forgotten it with the connection.
        with suppress(StoreUnavailable), begin() as tx:
            self._staging.drop(tx)

    def _stage(self, tx: Any) -> None:
        self._flows.stage(tx, self._staging)
        if self.triggers is not None and self._triggers:
            self.triggers.stage(tx, self._triggers[-1], self._staging)

    def _let_go(self, tx: Any) -> None:
        """What a person has held for a time, and has the text of its repository again, is free."""
        if not self.owned:
            return
        holds = flows.holds(tx.connection, self.source.id)
        kept = {item.key for item in self.plan.of(Action.KEPT)}
        over = [key for key, hold in holds.items() if not hold.holds(self.now) and key not in kept]
        flows.set_held(tx.connection, over, None)

    def _remember(self, tx: Any) -> None:
        """What the source has now, and the commits that it came from."""
        commits = [*self.commits, self.commit]
        sources.add_commits(tx.connection, [commit_of(self.source.id, one) for one in commits])
        sources.put_manifest(
            tx.connection,
            sources.Manifest(
                source_id=self.source.id,
                commit_sha=self.commit["sha"],
                applied_at=self.now,
                entries=self._packed,
            ),
        )

    def _prepare_flows(
        self, connection: Any, saved: Sequence[Item], texts: Mapping[Key, FlowText]
    ) -> None:
        found = [texts[item.key] for item in saved]
        saves = [self._save(connection, flow) for flow in found]
        self._flows.save(connection, saves, self.now)
        self._flows.expect({item.key: _stored(item) for item in saved})
        if self.triggers is not None:
            heads = {(h.namespace, h.id): h.revision for h in self._flows.heads[-len(saves) :]}
            changed = [self._flow(one, heads) for one in found if one.text is not None]
            self._triggers.append(self.triggers.ready(connection, changed, self.now))

    def _prepare_deletions(self) -> None:
        for item in self.plan.of(Action.PRUNED):
            known = _stored(item)
            if not item.is_flow or known is None:
                continue
            self._flows.delete(
                known,
                flows.Save(
                    namespace=item.namespace,
                    id=item.id,
                    source="",
                    by=self.commit["author_name"],
                    via=self.via,
                    commit=self._commit(self.commit, "", ""),
                ),
                self.now,
            )

    def _item(self, place: int, item: Item) -> Bound:
        line = sync_item(item, self.commit["sha"], self.revisions)
        return syncs.bound_item(self.run_id, place, line)

    def _save(self, connection: Any, flow: FlowText) -> flows.Save:
        one = flow.desired
        info = self._info(flow.commit)
        text = flow.text
        if text is None:
            # An unchanged file whose stored flow was edited: its text is the revision applied last.
            before = flows.revision(connection, one.namespace, one.id, flow.revision)
            text = before.source if before is not None else ""
        return flows.Save(
            namespace=one.namespace,
            id=one.id,
            source=text,
            disabled=flow.disabled,
            description=flow.description,
            labels={**self.source.labels, **flow.labels},
            by=info["author_name"],
            via=self.via,
            commit=self._commit(info, one.path, one.blob),
            owned=self.owned,
        )

    def _commit(self, info: Mapping[str, Any], path: str, blob: str) -> flows.Commit:
        return flows.Commit(
            source_id=self.source.id,
            sha=info["sha"],
            author=info["author_name"],
            email=info["author_email"],
            time=datetime.fromisoformat(info["author_time"]),
            subject=info["subject"],
            path=path or None,
            blob=blob or None,
            ref=self.ref,
            run_id=self.run_id,
        )

    def _info(self, sha: str) -> Mapping[str, Any]:
        return next((one for one in self.commits if one["sha"] == sha), self.commit)

    def _tell_triggers(self, tx: Any) -> None:
        if self.triggers is None:
            return
        self.triggers.write_staged(tx, self._staging)
        for made in self._triggers:
            self.triggers.write_ready(tx, made)
        gone = [item.key for item in self.plan.of(Action.PRUNED) if item.is_flow]
        if gone:
            self.triggers.flows_deleted(tx, gone)

    def _flow(self, flow: FlowText, revisions: Mapping[Key, int]) -> Flow:
        """As much of the flow as triggers need, without reading its text again."""
        triggers = [Trigger.model_validate(one) for one in flow.triggers]
        if self.source.disable_triggers:
            triggers = [one.model_copy(update={"disabled": True}) for one in triggers]
        one = flow.desired
        return Flow(
            id=one.id,
            namespace=one.namespace,
            revision=revisions.get(one.key),
            disabled=flow.disabled,
            labels=flow.labels,
            triggers=tuple(triggers),
        )


def _stored(item: Item) -> Stored | None:
    """The flow as the plan has met it."""
    live = item.live
    if live is None:
        return None
    return Stored(
        namespace=live.namespace,
        id=live.id,
        revision=live.revision,
        digest=live.digest,
        managed_by=live.managed_by,
        deleted=live.deleted,
    )
