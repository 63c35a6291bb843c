"""Unified differences between texts of flows: of a plan, and of what a run has done."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from penstock_server.store import flows, syncs

MOST = 200
LONGEST = 200_000
Name = tuple[str, str, int]


def unified(old: str | None, new: str | None, path: str) -> str:
    """The difference between two texts of one file; None is no file."""
    before, after = old or "", new or ""
    if len(before) + len(after) > LONGEST:
        return f"--- {path}\n+++ {path}\n# too long to be compared here\n"
    lines = difflib.unified_diff(
        before.splitlines(),
        after.splitlines(),
        fromfile=f"a/{path}" if old is not None else "/dev/null",
        tofile=f"b/{path}" if new is not None else "/dev/null",
        lineterm="",
    )
    return "".join(f"{line}\n" for line in lines)


def with_differences(connection: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """A plan whose items have a `diff` in place of their text."""
    items = plan["items"]
    old = flows.texts(connection, _before(items))
    told = []
    for item in items:
        given = {name: value for name, value in item.items() if name != "text"}
        if "text" in item and _differs(item):
            given["diff"] = unified(
                old.get((item["namespace"], item["id"], item["fromRevision"] or 0)),
                item["text"],
                item["path"] or f"{item['namespace']}.{item['id']}.yml",
            )
        told.append(given)
    return {**plan, "items": told}


def _differs(item: Mapping[str, Any]) -> bool:
    return item["action"] == "PRUNED" or (item["text"] is not None and item["toRevision"])


def _before(items: Iterable[Mapping[str, Any]]) -> list[Name]:
    return [
        (item["namespace"], item["id"], item["fromRevision"])
        for item in items
        if "text" in item and item["fromRevision"]
    ]


def of_run(connection: Any, items: Iterable[syncs.SyncItem]) -> Iterator[str]:
    """What a run did to flows, file by file."""
    found = [one for one in items if one.kind == "flow" and _changed(one)]
    shown = found[:MOST]
    names = [
        (one.namespace, one.name, number)
        for one in shown
        for number in (one.from_revision, one.to_revision)
        if number is not None
    ]
    texts = flows.texts(connection, names)
    for one in shown:
        yield unified(
            texts.get((one.namespace, one.name, one.from_revision or 0)),
            texts.get((one.namespace, one.name, one.to_revision or 0)),
            one.path or f"{one.namespace}.{one.name}.yml",
        )
    if len(found) > MOST:
        yield f"# {len(found) - MOST} more flows were changed\n"


def _changed(item: syncs.SyncItem) -> bool:
    return item.action == "PRUNED" or item.from_revision != item.to_revision
