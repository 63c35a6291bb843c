"""Which runners may take a job, which of them come first, and why none may. Pure.

A job asks for labels and belongs to a namespace; a runner offers labels, and may be kept for some
namespaces, or for flows of protected refs. What a runner is kept for cannot be asked away.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase

from penstock_runner.flow.routing import EXCLUSIVE, OR

# So long a job is only offered to the runners that suit it best.
FIRST_CHOICE = timedelta(seconds=2)
GROWS_EVERY = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a runner takes; `namespaces` are globs, none of them means all."""

    labels: frozenset[str] = frozenset()
    namespaces: tuple[str, ...] = ()
    protected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a job asks for and where it comes from; `protected` is a flow of a protected ref."""

    required: tuple[str, ...] = ()
    namespace: str = ""
    protected: bool = False


def lacking(required: Sequence[str], offered: Collection[str]) -> list[str]:
    """What a runner does not offer of what is asked; empty when its labels suit.

    A runner with an exclusive label (`!gpu`) takes nothing that does not ask for it.
    """
    missing = [one for one in required if not any(_met(part, offered) for part in one.split(OR))]
    closed = [label for label in offered if label.startswith(EXCLUSIVE)]
    if closed:
        asked = [part for one in required for part in one.split(OR)]
        missing += (one for one in closed if not any(_asks(label, one[1:]) for label in asked))
    return missing


def refusals(demand: Demand, offer: Offer) -> list[str]:
    """Every reason why a runner may not take a job, in words; empty when it may."""
    found = []
    for one in lacking(demand.required, offer.labels):
        closed = one.startswith(EXCLUSIVE)
        found.append(f"takes only what asks for {one[1:]}" if closed else f"lacks {_words(one)}")
    if offer.namespaces and not any(fnmatchcase(demand.namespace, n) for n in offer.namespaces):
        found.append(f"is for the namespaces {', '.join(offer.namespaces)}")
    if offer.protected and not demand.protected:
        found.append("is for flows of protected refs")
    return found


def suits(required: Sequence[str], offered: Collection[str]) -> tuple[int, int]:
    """How well a runner that may take a job suits it; the smallest comes first.

    Most labels that are met to the letter, then fewest that the job has no use for: so runners with
    something special stay free for those who ask for it.
    """
    asked = [part for one in required for part in one.split(OR)]
    have = {label.removeprefix(EXCLUSIVE) for label in offered}
    exact = sum(any(part in have for part in one.split(OR)) for one in required)
    unused = sum(not any(_met(part, (label,)) for part in asked) for label in have)
    return -exact, unused


def urgency(priority: int, waited: timedelta) -> int:
    """How much hurry a job is in; it grows while it waits, so that none waits for ever."""
    return priority + max(waited // GROWS_EVERY, 0)


def why_unmatched(demand: Demand, runners: Mapping[str, Offer]) -> str | None:
    """Why no runner may take such a job, None when one may. `runners` are offers by name."""
    reasons = {name: refusals(demand, offer) for name, offer in runners.items()}
    if not all(reasons.values()):
        return None
    told = f"waiting for [{asked_for(demand)}]: 0 of {len(runners)} runners match"
    if not reasons:
        return told
    name = min(reasons, key=lambda one: (len(reasons[one]), one))
    return f"{told}; closest: {name} {_joined(reasons[name])}"


def why_waiting(demand: Demand, runners: Mapping[str, Offer]) -> str:
    """Why a job is with no runner: there is none, or all that may take it are busy."""
    unmatched = why_unmatched(demand, runners)
    if unmatched is not None:
        return unmatched
    match = [name for name, offer in runners.items() if not refusals(demand, offer)]
    count = f"{len(match)} of {len(runners)} runners match"
    return f"waiting for [{asked_for(demand)}]: {count}, without a free slot"


def asked_for(demand: Demand) -> str:
    """The labels that a job asks for, as people read them."""
    return ", ".join(_words(one) for one in demand.required) or "no label"


def _words(required: str) -> str:
    return required.replace(OR, " or ")


def _joined(reasons: Sequence[str]) -> str:
    lacks = [one.removeprefix("lacks ") for one in reasons if one.startswith("lacks ")]
    others = [one for one in reasons if not one.startswith("lacks ")]
    return " and ".join([*([f"lacks {', '.join(lacks)}"] if lacks else []), *others])


def _asks(label: str, exclusive: str) -> bool:
    """Whether a label asks for an exclusive one, by its whole or by its name alone."""
    return (
        label == exclusive or exclusive in label.split("=")[:1] or label in exclusive.split("=")[:1]
    )


def _met(label: str, offered: Collection[str]) -> bool:
    name, equals, _ = label.partition("=")
    for one in offered:
        have = one.removeprefix(EXCLUSIVE)
        if have == label or (equals and have == f"{name}=*"):
            return True
        if not equals and have.partition("=")[0] == name:
            return True
    return False
