"""Where a task asks to run: three spellings of one thing, a set of required labels. Pure.

A requirement is a label, or several with `|` between them of which one is enough. Who may take
what is asked so is in `offers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Protocol

Fallback = Literal["WAIT", "FAIL", "CANCEL"]
FALLBACKS: tuple[Fallback, ...] = ("WAIT", "FAIL", "CANCEL")
OR = "|"
EXCLUSIVE = "!"
LONGEST_WAIT = timedelta(days=1)
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9._/]{0,62}[a-z0-9])?")


class BadRoute(ValueError):
    """What is written does not say where to run; the message says why."""


class Routed(Protocol):
    """What can say where to run: a task, a flow, a trigger."""

    @property
    def runs_on(self) -> object | None: ...
    @property
    def worker_group(self) -> Mapping[str, object] | None: ...
    @property
    def worker_selector(self) -> Mapping[str, object] | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The labels that a job asks for, and what happens when nobody offers them."""

    required: tuple[str, ...] = ()
    fallback: Fallback = "WAIT"


def written_route(levels: Iterable[Routed]) -> dict[str, Any] | None:
    """What is written, unrendered, at the first level that says anything."""
    for level in levels:
        for name in ("runs_on", "worker_group", "worker_selector"):
            asked = getattr(level, name)
            if asked is not None:
                return {name: asked}
    return None


def read_route(written: Mapping[str, Any] | None) -> Route:
    """The route behind what `written_route` gave, once that is rendered."""
    match written:
        case None:
            return Route()
        case {"runs_on": asked}:
            return Route(required=_labels(asked))
        case {"worker_group": {"key": key, **more}}:
            return Route(required=_labels(key), fallback=_fallback(more, "WAIT"))
        case {"worker_selector": {"tags": tags, **more}}:
            labels, how = _labels(tags), str(more.get("match") or "ALL").upper()
            if how not in {"ALL", "ANY"}:
                raise BadRoute(f"workerSelector.match is ALL or ANY, not {how}")
            required = (OR.join(labels),) if how == "ANY" and labels else labels
            return Route(required=required, fallback=_fallback(more, "FAIL"))
        case {"worker_group": _}:
            raise BadRoute("workerGroup needs a key, the label of the runner")
        case _:
            raise BadRoute("workerSelector needs tags, the labels of the runner")


def _labels(asked: object) -> tuple[str, ...]:
    listed = asked if isinstance(asked, list | tuple) else [asked]
    found = [str(one).strip().lower() for one in listed if one not in (None, "")]
    for label in found:
        if not good_label(label):
            raise BadRoute(f"{label[:80]!r} is no label of a runner: write name or name=value")
    return tuple(dict.fromkeys(found))


def good_label(label: str) -> bool:
    """Whether a text is `name` or `name=value`, in lower case."""
    name, equals, value = label.partition("=")
    good_value = not equals or value == "*" or _NAME.fullmatch(value)
    return bool(_NAME.fullmatch(name) and good_value)


def _fallback(written: Mapping[Any, Any], default: Fallback) -> Fallback:
    said = str(written.get("fallback") or default).upper()
    for known in FALLBACKS:
        if said == known:
            return known
    raise BadRoute(f"fallback is one of {', '.join(FALLBACKS)}, not {said}")
