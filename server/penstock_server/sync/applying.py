"""Writing an applied commit: one transaction with everything that follows from a plan.

`Application` holds what was decided; `write` is called with the store's open transaction. Readers
see the commit before or the commit after, never something between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from penstock_runner.flow.model import Flow, Trigger
from penstock_server.store import flows, sources, syncs
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


class TriggerRows(Protocol):
    """Who keeps the rows of triggers (the scheduler)."""

    def flows_saved(self, tx: Any, flows: Sequence[Flow], now: datetime) -> None:
        """Flows have new texts."""
        ...

    def flow_deleted(self, tx: Any, namespace: str, flow_id: str) -> None:
        """A flow is gone."""
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

    @property
    def changed(self) -> list[Key]:
        """The flows whose head moves."""
        moved = (*SAVED, Action.PRUNED)
        return [item.key for item in self.plan.of(*moved) if not item.is_file]

    def write(self, tx: Any) -> None:
        """Save and delete flows and files; write the manifest and the items of the run."""
        self._write_flows(tx)
        write_files(
            tx,
            self.plan,
            self.contents,
            owner=self.source.id if self.owned else None,
            run_id=self.run_id,
            now=self.now,
        )
        if self.owned:
            self._remember(tx)
        items = [sync_item(one, self.commit["sha"], self.revisions) for one in self.plan.changes]
        syncs.add_items(tx.connection, self.run_id, items)

    def _remember(self, tx: Any) -> None:
        """What the source has now, and the commits that it came from."""
        self.new_manifest = manifest_of(
            self.contents, self.revisions, self.manifest, self.contents.invalid
        )
        commits = [*self.commits, self.commit]
        sources.add_commits(tx.connection, [commit_of(self.source.id, one) for one in commits])
        sources.put_manifest(
            tx.connection,
            sources.Manifest(
                source_id=self.source.id,
                commit_sha=self.commit["sha"],
                applied_at=self.now,
                entries=entries_of(self.new_manifest),
            ),
        )

    def _write_flows(self, tx: Any) -> None:
        texts = {flow.desired.key: flow for flow in self.contents.flows}
        saved = [item for item in self.plan.of(*SAVED) if not item.is_file]
        saves = [self._save(tx, texts[item.key]) for item in saved]
        heads = flows.save_revisions(tx.connection, saves, now=self.now) if saves else []
        gone = [item for item in self.plan.of(Action.PRUNED) if not item.is_file]
        flows.mark_deleted(
            tx.connection,
            [item.key for item in gone],
            now=self.now,
            by=self.commit["author_name"],
            via=self.via,
            commit=self._commit(self.commit, "", ""),
        )
        self.revisions = {
            item.key: item.live.revision for item in self.plan.items if item.live is not None
        }
        self.revisions |= {(head.namespace, head.id): head.revision for head in heads}
        self._tell_triggers(tx, [texts[item.key] for item in saved], gone)

    def _save(self, tx: Any, flow: FlowText) -> flows.Save:
        one = flow.desired
        info = self._info(flow.commit)
        text = flow.text
        if text is None:
            # An unchanged file whose stored flow was edited: its text is the revision applied last.
            before = flows.revision(tx.connection, one.namespace, one.id, flow.revision)
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

    def _tell_triggers(self, tx: Any, saved: Iterable[FlowText], gone: Iterable[Item]) -> None:
        if self.triggers is None:
            return
        changed = [self._flow(flow) for flow in saved if flow.text is not None]
        self.triggers.flows_saved(tx, changed, self.now)
        for item in gone:
            self.triggers.flow_deleted(tx, item.namespace, item.id)

    def _flow(self, flow: FlowText) -> Flow:
        """As much of the flow as triggers need, without reading its text again."""
        triggers = [Trigger.model_validate(one) for one in flow.triggers]
        if self.source.disable_triggers:
            triggers = [one.model_copy(update={"disabled": True}) for one in triggers]
        one = flow.desired
        return Flow(
            id=one.id,
            namespace=one.namespace,
            revision=self.revisions.get(one.key),
            disabled=flow.disabled,
            labels=flow.labels,
            triggers=tuple(triggers),
        )
