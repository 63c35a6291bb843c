"""A commit that was found, judged: what it holds, what it changes, whether it may be applied."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from penstock_server.store import flows
from penstock_server.sync.asked import Look
from penstock_server.sync.deciding import compared, live_of
from penstock_server.sync.desired import Contents, contents_of
from penstock_server.sync.doubts import Caller, doubting
from penstock_server.sync.folding import unfolding
from penstock_server.sync.held import Around, HeldSource
from penstock_server.sync.plan import Action, SyncPlan
from penstock_server.sync.records import Records
from penstock_server.sync.verdicts import Verdict, verdict_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a commit holds and changes; `verdict` says why it is not applied."""

    contents: Contents
    decided: SyncPlan
    verdict: Verdict | None


def with_doubts(
    around: Around, contents: Contents, decided: SyncPlan
) -> Generator[None, None, Contents]:
    """The contents with warnings about flows and secrets that they name and nobody has."""
    callers = [
        Caller(key=flow.desired.key, path=flow.desired.path, refs=flow.refs)
        for flow in contents.flows
        if flow.refs
    ]
    if not callers and not decided.of(Action.PRUNED):
        return contents
    found = yield from doubting(
        around.database.read,
        callers,
        around.has_secret,
        coming=[item.key for item in decided.items if item.is_flow],
        gone=[item.key for item in decided.of(Action.PRUNED) if item.is_flow],
    )
    return replace(contents, faults=(*contents.faults, *found))


def at_once(around: Around, contents: Contents, decided: SyncPlan) -> Contents:
    """The same without pauses."""
    work = with_doubts(around, contents, decided)
    while True:
        try:
            next(work)
        except StopIteration as end:
            whole: Contents = end.value
            return whole


def judged(
    around: Around, records: Records, source: HeldSource, look: Look, message: Mapping[str, Any]
) -> Generator[None, None, Judgement]:
    """Judge a commit, with pauses in which others go on."""
    message = yield from unfolding(message)
    manifest = source.manifest
    if look.pin is not None and look.commit is not None:
        manifest = records.manifest(source, look.commit) or manifest
    contents = contents_of(message["files"], message["notes"], manifest, flows.digest)
    yield
    before = source.state.config_digest.partition(":")[0]
    present = records.digest(source.settings).partition(":")[0]
    with around.database.read() as connection:
        live = live_of(connection, source.settings, contents)
        holds = flows.holds(connection, source.settings.id)
    yield
    decided = compared(
        source.settings,
        contents,
        source.manifest,
        live,
        # The repository has settings, too: `.penstock.yml`.
        reconfigured=(bool(before) and before != present) or bool(message.get("reconfigured")),
        confirmed=look.confirmed,
        holds=holds,
        now=around.clock.now(),
    )
    yield
    contents = yield from with_doubts(around, contents, decided)
    yield
    rewritten = bool(message["rewritten"]) and look.commit is None
    verdict = verdict_on(source.settings, look, contents, decided, rewritten=rewritten)
    return Judgement(contents=contents, decided=decided, verdict=verdict)
