"""What is asked of a source: by whom, for which commit, and what is to be done with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

# Repositories that Git tasks ask for have stores of their own, named by their address.
TASK_STORES = "task-"
Wait = Callable[[dict[str, Any]], None]
Aim = Literal["apply", "plan", "refresh"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """Who keeps a source at a commit, why, and how long."""

    by: str | None = None
    reason: str | None = None
    until: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Look:
    """One look, and who waits for its end.

    `aim` says what becomes of the commit: it is applied, only planned, or only noticed. `commit`
    names one instead of what the ref points to. `retry` tries a commit again that was refused,
    `force` also one that is applied. `confirmed` is the digest of a plan that a person lets through
    the guards, and `accept_rewrite` says that the same person knows of a rewritten history. With a
    `pin` the source stays at the commit.
    """

    trigger: str = "poll"
    actor: str | None = None
    delivery_id: str | None = None
    aim: Aim = "apply"
    commit: str | None = None
    pin: Pin | None = None
    confirmed: str | None = None
    accept_rewrite: bool = False
    retry: bool = False
    force: bool = False
    waits: list[Wait] = field(default_factory=list)

    def joins(self, before: Look) -> bool:
        """Whether one look can do for both."""
        return all(one.aim == "apply" and one.commit is None for one in (self, before))

    def after(self, before: Look) -> Look:
        """The look that does for both."""
        return replace(
            self,
            retry=self.retry or before.retry,
            force=self.force or before.force,
            confirmed=self.confirmed or before.confirmed,
            accept_rewrite=self.accept_rewrite or before.accept_rewrite,
            waits=[*before.waits, *self.waits],
        )

    def answer(self, result: dict[str, Any]) -> None:
        """Tell everybody who waits."""
        for wait in self.waits:
            wait(result)
