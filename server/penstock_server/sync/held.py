"""A Git source as core's loop holds it, and the services that everything around it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from penstock_runner.executor.messages import Starter
from penstock_server.clock import Clock
from penstock_server.sync.applying import TriggerRows
from penstock_server.sync.asked import Look
from penstock_server.sync.desired import Manifest
from penstock_server.sync.doubts import HasSecret, any_secret
from penstock_server.sync.measures import Measures
from penstock_server.sync.polling import MERGED
from penstock_server.sync.push_judging import Settle, as_written
from penstock_server.sync.push_starts import PushStarts
from penstock_server.sync.settings import SourceSettings
from penstock_server.sync.state import SourceState

# A commit by its id, and the ref that points to it.
Commit = tuple[str, str]
# A large commit that is worked on: what was asked, and the rest of the work.
Work = tuple[Look, Iterator[None]]
AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)


class Database(Protocol):
    """What syncs read from, and put rows aside in."""

    def read(self) -> Any:
        """A context manager that gives a connection."""
        ...

    def begin(self) -> Any:
        """A context manager that gives a transaction."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a sync works with: the store, who writes to it, and who wants to know."""

    database: Database
    starter: Starter
    clock: Clock
    on_flows_changed: Callable[[list[tuple[str, str]]], None]
    push_starts: PushStarts
    triggers: TriggerRows | None = None
    measures: Measures = field(default_factory=Measures)
    settle: Settle = as_written
    has_secret: HasSecret = any_secret


@dataclass(slots=True, kw_only=True)
class HeldSource:
    """A source with what is under way.

    `working` is a new commit that is being read, checked or applied. `read_digest` is how it was
    read when last looked at; `named` are commits that webhooks have named, `rejections` when
    deliveries with bad signatures came; `drifted` are flows that were edited here,
    of which `holding` are kept so until `hold_ends` (the first of them) and `released` are not any
    more. `becoming` and `leaving` say what is done with it when its run has ended.
    """

    settings: SourceSettings
    state: SourceState
    manifest: Manifest = field(default_factory=dict)
    read_digest: str = ""
    looking: Look | None = None
    deadline: datetime | None = None
    asked_at: datetime | None = None
    following: list[Look] = field(default_factory=list)
    hinted_at: datetime | None = None
    applying: bool = False
    work: Work | None = None
    working: Commit | None = None
    drifted: frozenset[tuple[str, str]] = frozenset()
    holding: frozenset[tuple[str, str]] = frozenset()
    released: frozenset[tuple[str, str]] = frozenset()
    hold_ends: datetime | None = None
    named: list[str] = field(default_factory=list)
    becoming: SourceSettings | None = None
    leaving: Callable[[], None] | None = None
    rejections: list[datetime] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        """Whether a look or an apply is under way."""
        return self.looking is not None or self.applying or self.work is not None

    @property
    def progressing(self) -> bool:
        """Whether a commit is being read, planned or applied."""
        return self.applying or self.work is not None or self.working is not None

    @property
    def wakes(self) -> datetime | None:
        """When there is something to do for it."""
        if self.work is not None:
            return AT_ONCE
        if self.looking is not None:
            return self.deadline
        if self.applying:
            return None
        if self.following:
            hinted = self.hinted_at if self.following[0].trigger == "webhook" else None
            return hinted + MERGED if hinted is not None else AT_ONCE
        if not self.settings.enabled:
            return None
        moments = (self.state.next_poll_at, self.state.pinned_until, self.hold_ends)
        return min((one for one in moments if one is not None), default=None)
