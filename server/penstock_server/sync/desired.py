"""The flows of a commit: what the git process has read, joined with what was applied before.

Files that have not changed come without text; what they held is in the manifest of the last applied
commit. The manifest is plain data, one entry a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock_runner.flow.faults import Fault, Severity
from penstock_server.sync.plan import Base, Desired, Key
from penstock_server.sync.reading import fault_from

Manifest = Mapping[str, Mapping[str, Any]]
"""Path -> {blob, items: [{namespace, id, pointer, digest, revision, push}]}."""

PUSH = "io.penstock.trigger.Push"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowText:
    """A flow of the commit with all that is stored of it; no `text` when the file is as before."""

    desired: Desired
    commit: str
    text: str | None = None
    disabled: bool = False
    description: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    triggers: Sequence[Mapping[str, Any]] = ()
    push: Sequence[Mapping[str, Any]] = ()
    revision: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Everything that a commit says."""

    flows: tuple[FlowText, ...]
    faults: tuple[Fault, ...]
    blobs: Mapping[str, str]

    @property
    def errors(self) -> tuple[Fault, ...]:
        """The faults that block."""
        return tuple(fault for fault in self.faults if fault.severity is Severity.ERROR)

    @property
    def invalid(self) -> frozenset[str]:
        """The paths of files that hold an error."""
        return frozenset(fault.path for fault in self.errors)


def contents_of(
    files: Iterable[Mapping[str, Any]],
    notes: Iterable[Mapping[str, Any]],
    manifest: Manifest,
    digest: Callable[[str], str],
) -> Contents:
    """Read an answer of the git process."""
    flows: list[FlowText] = []
    faults = [fault_from(note) for note in notes]
    blobs: dict[str, str] = {}
    for file in files:
        path, blob = file["path"], file["blob"]
        # A blob that cannot match: what includes others is read again with each commit.
        blobs[path] = "" if file.get("includes") else blob
        if file["known"]:
            before = manifest.get(path, {}).get("items", ())
            flows += [_as_before(item, path, blob, file["commit"]) for item in before]
            continue
        faults += [fault_from(fault) for fault in file["faults"]]
        # A file counts whole: its good documents wait for the bad one to be mended.
        if not any(fault["severity"] == Severity.ERROR for fault in file["faults"]):
            flows += [_as_read(item, path, blob, file["commit"], digest) for item in file["items"]]
    return Contents(flows=tuple(flows), faults=tuple(faults), blobs=blobs)


def _as_read(
    item: Mapping[str, Any], path: str, blob: str, commit: str, digest: Callable[[str], str]
) -> FlowText:
    triggers = item["triggers"]
    return FlowText(
        desired=Desired(
            namespace=item["namespace"],
            id=item["id"],
            path=path,
            blob=blob,
            pointer=item["pointer"],
            digest=digest(item["text"]),
        ),
        commit=commit,
        text=item["text"],
        disabled=item["disabled"],
        description=item["description"],
        labels=item["labels"],
        triggers=triggers,
        push=[one for one in triggers if one["kind"] == PUSH],
    )


def _as_before(item: Mapping[str, Any], path: str, blob: str, commit: str) -> FlowText:
    return FlowText(
        desired=Desired(
            namespace=item["namespace"],
            id=item["id"],
            path=path,
            blob=blob,
            pointer=item["pointer"],
            digest=item["digest"],
        ),
        commit=commit,
        push=item.get("push") or (),
        revision=item["revision"],
    )


def entries_of(manifest: Manifest) -> list[dict[str, Any]]:
    """The manifest as it is stored."""
    return [{"path": path, **entry} for path, entry in manifest.items()]


def manifest_from(entries: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The manifest as it was stored."""
    return {entry["path"]: entry for entry in entries}


def bases(manifest: Manifest) -> dict[Key, Base]:
    """The flows of a manifest by key."""
    return {
        (item["namespace"], item["id"]): Base(path=path, digest=item["digest"])
        for path, entry in manifest.items()
        for item in entry["items"]
    }


def manifest_of(
    contents: Contents, revisions: Mapping[Key, int], kept: Manifest, skipped: frozenset[str]
) -> dict[str, dict[str, Any]]:
    """The manifest once a commit is applied; skipped files keep what they had."""
    entries: dict[str, dict[str, Any]] = {
        path: {"blob": blob, "items": []}
        for path, blob in contents.blobs.items()
        if path not in skipped
    }
    for flow in contents.flows:
        one = flow.desired
        if one.path in skipped or one.key not in revisions:
            continue
        entries[one.path]["items"].append(
            {
                "namespace": one.namespace,
                "id": one.id,
                "pointer": one.pointer,
                "digest": one.digest,
                "revision": revisions[one.key],
                "push": list(flow.push),
            }
        )
    for path in skipped:
        if path in kept:
            # A blob that cannot match: the file is read again with the next commit.
            entries[path] = {"blob": "", "items": list(kept[path]["items"])}
    return entries
