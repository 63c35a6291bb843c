"""The flows of a commit: what the git process has read, joined with what was applied before.

Files that have not changed come without text; what they held is in the manifest of the last applied
commit. The manifest is plain data, one entry a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock_runner.flow.faults import Fault, Severity
from penstock_server.sync.plan import TEST, Base, Desired, Key
from penstock_server.sync.reading import fault_from

Manifest = Mapping[str, Mapping[str, Any]]
"""Path -> {blob, items: [{namespace, id, pointer, digest, revision, push, refs?}], file?,
tests?: [{namespace, id, flowId, pointer, text}]}.

`file` is {namespace, path, sha256, size, executable, home}: a file of a namespace. `home` says that
its folder named no namespace, so that it goes where the flows are.
"""

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
    refs: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContent:
    """A file of a namespace; its content lies in the storage already."""

    desired: Desired
    commit: str
    sha256: str
    size: int
    executable: bool
    home: bool

    @property
    def data(self) -> dict[str, Any]:
        """The file as a manifest keeps it."""
        return {
            "namespace": self.desired.namespace,
            "path": self.desired.id,
            "sha256": self.sha256,
            "size": self.size,
            "executable": self.executable,
            "home": self.home,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteText:
    """A test suite of the commit, about one flow of its namespace."""

    desired: Desired
    commit: str
    flow_id: str
    text: str

    @property
    def data(self) -> dict[str, Any]:
        """The suite as a manifest keeps it."""
        one = self.desired
        return {
            "namespace": one.namespace,
            "id": one.id.removeprefix(TEST),
            "flowId": self.flow_id,
            "pointer": one.pointer,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Everything that a commit says."""

    flows: tuple[FlowText, ...]
    faults: tuple[Fault, ...]
    blobs: Mapping[str, str]
    files: tuple[FileContent, ...] = ()
    tests: tuple[SuiteText, ...] = ()

    @property
    def desired(self) -> list[Desired]:
        """All that the commit wants to be there."""
        flows = [flow.desired for flow in self.flows]
        files = [file.desired for file in self.files]
        return [*flows, *files, *(suite.desired for suite in self.tests)]

    @property
    def errors(self) -> tuple[Fault, ...]:
        """The faults that block."""
        return tuple(fault for fault in self.faults if fault.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """The faults that a person should look at, and that do not block."""
        return tuple(fault for fault in self.faults if fault.severity is Severity.WARNING)

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
    others: list[_Found] = []
    tests: list[SuiteText] = []
    faults = [fault_from(note) for note in notes]
    blobs: dict[str, str] = {}
    for file in files:
        path, blob = file["path"], file["blob"]
        # A blob that cannot match: what includes others is read again with each commit.
        blobs[path] = "" if file.get("includes") else blob
        described = manifest.get(path, {}).get("file") if file["known"] else file.get("file")
        if described is not None:
            others.append((path, blob, file["commit"], described))
        if file["known"]:
            entry = manifest.get(path, {})
            tests += _suites(entry, path, blob, file["commit"], digest)
            before = entry.get("items", ())
            flows += [_as_before(item, path, blob, file["commit"]) for item in before]
            continue
        faults += [fault_from(fault) for fault in file["faults"]]
        # A file counts whole: its good documents wait for the bad one to be mended.
        if not any(fault["severity"] == Severity.ERROR for fault in file["faults"]):
            flows += [_as_read(item, path, blob, file["commit"], digest) for item in file["items"]]
            tests += _suites(file, path, blob, file["commit"], digest)
    found, homeless = _files(others, _home(flows, faults, manifest))
    # What went nowhere is looked at again when the flows have changed.
    blobs |= {fault.path: "" for fault in homeless}
    return Contents(
        flows=tuple(flows),
        faults=(*faults, *homeless),
        blobs=blobs,
        files=tuple(found),
        tests=tuple(tests),
    )


_Found = tuple[str, str, str, Mapping[str, Any]]


def _suites(
    found: Mapping[str, Any], path: str, blob: str, commit: str, digest: Callable[[str], str]
) -> list[SuiteText]:
    """The suites of a file, as it was read or as the manifest has it."""
    return [
        SuiteText(
            desired=Desired(
                namespace=one["namespace"],
                id=TEST + one["id"],
                path=path,
                blob=blob,
                pointer=one["pointer"],
                digest=digest(one["text"]),
            ),
            commit=commit,
            flow_id=one["flowId"],
            text=one["text"],
        )
        for one in found.get("tests") or ()
    ]


def _home(flows: Sequence[FlowText], faults: Sequence[Fault], manifest: Manifest) -> str | None:
    """The namespace of files whose folder names none: that of all flows, else where they are."""
    spaces = {flow.desired.namespace for flow in flows}
    if len(spaces) == 1 and not any(fault.severity is Severity.ERROR for fault in faults):
        return spaces.pop()
    kept = (entry.get("file") or {} for entry in manifest.values())
    return next((str(file["namespace"]) for file in kept if file.get("home")), None)


def _files(found: Iterable[_Found], home: str | None) -> tuple[list[FileContent], list[Fault]]:
    files: list[FileContent] = []
    faults: list[Fault] = []
    for path, blob, commit, file in found:
        anywhere = bool(file.get("home")) or file["namespace"] is None
        namespace = home if anywhere else file["namespace"]
        if namespace is None:
            message = f"{path} goes to no namespace: name one with `files: {{dir, namespace}}`"
            faults.append(
                Fault(code="FILE_SKIPPED", message=message, path=path, severity=Severity.NOTE)
            )
            continue
        files.append(_file(path, blob, commit, file, namespace, home=anywhere))
    return files, faults


def _file(
    path: str, blob: str, commit: str, file: Mapping[str, Any], namespace: str, *, home: bool
) -> FileContent:
    return FileContent(
        desired=Desired(
            namespace=namespace,
            id=file["path"],
            path=path,
            blob=blob,
            digest=file_digest(file["sha256"], executable=file["executable"]),
        ),
        commit=commit,
        sha256=file["sha256"],
        size=file["size"],
        executable=file["executable"],
        home=home,
    )


def file_digest(sha256: str, *, executable: bool) -> str:
    """What tells one state of a file from another: content and mode."""
    return f"{sha256}*" if executable else sha256


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
        refs=item.get("refs") or (),
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
        refs=item.get("refs") or (),
    )


def entries_of(manifest: Manifest) -> list[dict[str, Any]]:
    """The manifest as it is stored."""
    return [{"path": path, **entry} for path, entry in manifest.items()]


def manifest_from(entries: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The manifest as it was stored."""
    return {entry["path"]: entry for entry in entries}


def bases(manifest: Manifest, digest: Callable[[str], str]) -> dict[Key, Base]:
    """The flows, files and suites of a manifest by key; `digest` is of a text."""
    found = {
        (item["namespace"], item["id"]): Base(path=path, digest=item["digest"])
        for path, entry in manifest.items()
        for item in entry["items"]
    }
    for path, entry in manifest.items():
        file = entry.get("file")
        if file is not None:
            mark = file_digest(file["sha256"], executable=file["executable"])
            found[file["namespace"], file["path"]] = Base(path=path, digest=mark)
        for suite in entry.get("tests") or ():
            name = (suite["namespace"], TEST + suite["id"])
            found[name] = Base(path=path, digest=digest(suite["text"]))
    return found


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
        entry = {
            "namespace": one.namespace,
            "id": one.id,
            "pointer": one.pointer,
            "digest": one.digest,
            "revision": revisions[one.key],
            "push": list(flow.push),
        }
        if flow.refs:
            entry["refs"] = list(flow.refs)
        entries[one.path]["items"].append(entry)
    for file in contents.files:
        if file.desired.path not in skipped:
            entries[file.desired.path]["file"] = file.data
    for suite in contents.tests:
        if suite.desired.path not in skipped:
            entries[suite.desired.path].setdefault("tests", []).append(suite.data)
    for path in skipped:
        if path in kept:
            # A blob that cannot match: the file is read again with the next commit.
            entries[path] = {**kept[path], "blob": ""}
    return entries
