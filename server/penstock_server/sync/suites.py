"""Test suites of sources: compared with what is stored, written with the flows of their commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from penstock_server.store import flows, test_suites
from penstock_server.store.flow_batches import Outdated
from penstock_server.store.test_suites import TestSuite
from penstock_server.sync.desired import SuiteText
from penstock_server.sync.plan import SAVED, TEST, Action, Key, Live, SyncPlan


def live_suites(connection: Any, source_id: str, wanted: Sequence[SuiteText]) -> list[Live]:
    """The suites of a source, and those that have the name of a wanted one."""
    mine = test_suites.of_source(connection, source_id)
    known = {one.key for one in mine}
    named = [_name(one.desired.key) for one in wanted]
    others = test_suites.at(connection, [key for key in named if key not in known])
    return [_live(one) for one in (*mine, *others)]


def write_suites(
    tx: Any,
    plan: SyncPlan,
    texts: Sequence[SuiteText],
    *,
    owner: str | None,
    run_id: str,
    now: datetime,
) -> None:
    """Save and delete suites as the plan says; raises `Outdated` when one has changed since."""
    touched = [item for item in plan.of(*SAVED, Action.PRUNED) if item.kind == "test"]
    if not touched:
        return
    there = test_suites.at(tx.connection, [_name(item.key) for item in touched])
    present = {(one.namespace, TEST + one.id): _live(one) for one in there}
    for item in touched:
        if present.get(item.key) != item.live:
            raise Outdated(f"test suite {item.namespace}.{item.name} has changed meanwhile")
    saved = {item.key for item in touched if item.action is not Action.PRUNED}
    rows = [_row(one, owner, run_id, now) for one in texts if one.desired.key in saved]
    test_suites.put(tx.connection, rows)
    test_suites.remove(tx.connection, [_name(i.key) for i in touched if i.key not in saved])


def _name(key: Key) -> Key:
    return key[0], key[1].removeprefix(TEST)


def _live(one: TestSuite) -> Live:
    return Live(
        namespace=one.namespace,
        id=TEST + one.id,
        revision=0,
        digest=one.digest,
        managed_by=one.managed_by,
    )


def _row(one: SuiteText, owner: str | None, run_id: str, now: datetime) -> TestSuite:
    desired = one.desired
    return TestSuite(
        namespace=desired.namespace,
        id=desired.id.removeprefix(TEST),
        flow_id=one.flow_id,
        source=one.text,
        digest=flows.digest(one.text),
        updated_at=now,
        managed_by=owner,
        commit_sha=one.commit,
        git_path=desired.path,
        git_blob=desired.blob,
        sync_run_id=run_id,
    )
