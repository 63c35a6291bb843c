"""What a plan would do, or a run did, flow by flow and line by line. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from penstock_server.store.syncs import SyncItem
from penstock_server.web.sources import DiffLine, difference

MOST_DIFFERENCES = 50
LONGEST = 100_000
WORDS: Mapping[str, tuple[str, str]] = {
    "ADDED": ("+", "added"),
    "ADOPTED": ("~", "taken over"),
    "UPDATED": ("~", "changed"),
    "PRUNED": ("-", "deleted"),
    "KEPT": ("=", "stays"),
    "KEPT_INVALID": ("=", "stays, its file has faults"),
    "PROTECTED": ("=", "stays, its namespace is protected"),
    "CONFLICT": ("!", "belongs to somebody else"),
}
Texts = Mapping[tuple[str, str, int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One flow or file, and what changes in its text."""

    sign: str
    name: str
    word: str
    told: str
    lines: tuple[DiffLine, ...] = ()


def planned(items: Iterable[Mapping[str, Any]], old: Texts) -> list[Change]:
    """The lines of a plan; `old` are the texts that are stored."""
    found: list[Change] = []
    for item in items:
        before = old.get((item["namespace"], item["id"], item["fromRevision"] or 0), "")
        after = "" if item["action"] == "PRUNED" else item.get("text")
        known = after is not None and item["toRevision"] and len(found) < MOST_DIFFERENCES
        notes = ["edited here"] if item["drifted"] else []
        if item["movedTo"]:
            notes.append(f"moved to {' / '.join(item['movedTo'])}")
        found.append(
            Change(
                **_named(item["action"], item["namespace"], item["id"]),
                told=_told(item["path"], item["fromRevision"], item["toRevision"], notes),
                lines=_lines(before, str(after)) if known else (),
            )
        )
    return found


def done(items: Iterable[SyncItem], texts: Texts) -> list[Change]:
    """The lines of a run; `texts` are the revisions before and after."""
    found: list[Change] = []
    for item in items:
        before = texts.get((item.namespace, item.name, item.from_revision or 0), "")
        after = texts.get((item.namespace, item.name, item.to_revision or 0), "")
        changed = item.from_revision != item.to_revision and len(found) < MOST_DIFFERENCES
        found.append(
            Change(
                **_named(item.action, item.namespace, item.name),
                told=_told(item.path, item.from_revision, item.to_revision, ()),
                lines=_lines(before, after) if changed and (before or after) else (),
            )
        )
    return found


def names_of(items: Iterable[SyncItem]) -> list[tuple[str, str, int]]:
    """The revisions that the first lines of a run show."""
    return [
        (item.namespace, item.name, number)
        for item in [one for one in items if one.kind == "flow"][:MOST_DIFFERENCES]
        for number in (item.from_revision, item.to_revision)
        if number is not None
    ]


def _named(action: str, namespace: str, name: str) -> dict[str, str]:
    sign, word = WORDS.get(action, ("?", action.lower()))
    shown = f"{namespace} {name}" if name.startswith("/") else f"{namespace} / {name}"
    return {"sign": sign, "word": word, "name": shown}


def _told(path: str | None, before: int | None, after: int | None, notes: Iterable[str]) -> str:
    parts = [path] if path else []
    if before and after and before != after:
        parts.append(f"revision {before} to {after}")
    elif after or before:
        parts.append(f"revision {after or before}")
    return ", ".join([*parts, *notes])


def _lines(before: str, after: str) -> tuple[DiffLine, ...]:
    if len(before) + len(after) > LONGEST:
        return ()
    lines, _added, _removed = difference(before, after)
    empty = {"del"} if not before else {"add"} if not after else set()
    return tuple(line for line in lines if line.kind not in empty)
