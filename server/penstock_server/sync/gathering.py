"""From the tree of a commit to plain data: its flows, the files of its namespaces, and notes.

This is the part of a look that reads. It runs in the child, trusts no name and follows no link out
of the folder of the source. Contents of namespace files are put into the storage here, before
anything is decided: they are named by what they hold, so what is never used harms nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penstock_runner.flow.catalogue import Catalogue
from penstock_runner.flow.faults import Fault
from penstock_runner.flow.rewriting import Renames
from penstock_runner.git.links import with_links_inside
from penstock_runner.git.store import BareStore
from penstock_runner.git.tree import LFS_MARK, Entry, Listing
from penstock_runner.git.trouble import GIT_TOO_BIG, GitTrouble
from penstock_runner.tasks.storage import Storage
from penstock_server.sync.file_rules import FilePlace, Sorting
from penstock_server.sync.namespaces import allowed, rewrites
from penstock_server.sync.portions import shared_out
from penstock_server.sync.reading import File, Reader, add_names, fault_data, file_of
from penstock_server.sync.repository_settings import FILE, Rules, read_settings, rules_of
from penstock_server.sync.stored_files import stored_file

GIT_SETTINGS = "GIT_SETTINGS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What a tree holds; `reconfigured` says that the repository's own settings have changed."""

    files: list[File]
    notes: list[dict[str, Any]]
    reconfigured: bool = False


def gather(
    request: Mapping[str, Any],
    store: BareStore,
    commit: str,
    *,
    catalogue: Catalogue,
    touched: Mapping[str, str],
    storage: Storage | None,
) -> Gathered:
    """Read the files of a commit; those whose content is `known` are only named."""
    return _Tree(request, store, commit, catalogue, touched, storage).gather()


class _Tree:
    def __init__(
        self,
        request: Mapping[str, Any],
        store: BareStore,
        commit: str,
        catalogue: Catalogue,
        touched: Mapping[str, str],
        storage: Storage | None,
    ) -> None:
        self._source = request["source"]
        self._known = request.get("known") or {}
        self._store = store
        self._commit = commit
        self._catalogue = catalogue
        self._touched = touched
        self._storage = storage
        self._folder = self._source.get("path") or ""
        self._limits = self._source["limits"]
        whole = store.tree(commit, self._folder)
        if self._source.get("symlinks") == "inside":
            whole = with_links_inside(whole, store.read)
        self._whole = whole
        self._entries = {entry.path: entry for entry in whole.entries}

    def gather(self) -> Gathered:
        # A task says itself what it wants.
        settings = None if self._source.get("by_task") else self._entries.get(FILE)
        rules = self._rules(settings)
        changed = self._known.get(self._shown(FILE)) != (settings.blob if settings else None)
        listing = self._store.selected(self._whole, exclude=rules.exclude)
        sorting = Sorting(rules.files, rules.home, [entry.path for entry in listing.entries])
        flows: list[Entry] = []
        others: list[tuple[Entry, FilePlace]] = []
        for entry in listing.entries:
            place = sorting.file(entry.path)
            if place is not None:
                others.append((entry, place))
            elif self._reads(entry.path, rules, sorting):
                flows.append(entry)
        self._check_count(len(flows) + len(others))
        known = {} if changed else self._known
        read = [file_of(self._shown(FILE), settings.blob)] if settings is not None else []
        read += self._flows(flows, rules, {} if rewrites(rules.mapping) else known)
        read += [self._file(entry, place, rules, known) for entry, place in others]
        for file in read:
            path = file["path"].removeprefix(f"{self._folder}/") if self._folder else file["path"]
            file["commit"] = self._touched.get(path, self._commit)
        notes = self._notes(listing, rules, sorting)
        return Gathered(files=read, notes=notes, reconfigured=bool(self._known) and changed)

    def _rules(self, entry: Entry | None) -> Rules:
        rules = rules_of(self._source)
        if entry is None:
            return rules
        text = self._store.read_text(entry, self._limits["file_bytes"])
        path = self._shown(FILE)
        said = text if isinstance(text, Fault) else read_settings(text, path, rules.mapping)
        if isinstance(said, Fault):
            # Read by other rules than meant, flows would go elsewhere or be deleted.
            raise GitTrouble(GIT_SETTINGS, str(replace(said, path=path)))
        return rules_of(self._source, said)

    def _reads(self, path: str, rules: Rules, sorting: Sorting) -> bool:
        return path != FILE and rules.included(path) and sorting.may_be_flow(path)

    def _check_count(self, count: int) -> None:
        if count > self._limits["files"]:
            raise GitTrouble(
                GIT_TOO_BIG,
                f"{count} files are more than `limits.files` ({self._limits['files']}) allows",
            )

    def _flows(self, entries: list[Entry], rules: Rules, known: Mapping[str, str]) -> list[File]:
        texts: dict[str, str | Fault] = {}
        renames = None
        if rewrites(rules.mapping) and not self._source.get("by_task"):
            renames = Renames()
            for entry in entries:
                texts[entry.path] = self._text(entry)
                add_names(renames, rules.mapping, entry.path, texts[entry.path])
        reader = Reader(
            catalogue=self._catalogue,
            folder=self._folder,
            mapping=rules.mapping,
            namespaces=rules.namespaces,
            renames=renames,
            include=self._included,
            labels=rules.labels,
            tests=rules.tests,
            namespace=self._source.get("namespace"),
        )

        def read(some: Sequence[Entry]) -> list[File]:
            return [
                reader.file(one.path, one.blob, texts.get(one.path) or self._text(one))
                for one in some
            ]

        new = [one for one in entries if known.get(self._shown(one.path)) != one.blob]
        files = iter(shared_out(new, read, begin=self._store.reopen))
        unread = {one.path for one in new}
        return [
            next(files)
            if one.path in unread
            else file_of(self._shown(one.path), one.blob, known=True)
            for one in entries
        ]

    def _file(self, entry: Entry, place: FilePlace, rules: Rules, known: Mapping[str, str]) -> File:
        shown = self._shown(entry.path)
        # The same content with another mode is another file.
        blob = f"{entry.blob}*" if entry.executable else entry.blob
        if known.get(shown) == blob:
            return file_of(shown, blob, known=True)
        content = self._content(entry, place, rules)
        if isinstance(content, Fault):
            return file_of(shown, blob, faults=[replace(content, path=shown)])
        described = stored_file(self._storage, place, content, executable=entry.executable)
        return {**file_of(shown, blob), "file": described}

    def _content(self, entry: Entry, place: FilePlace, rules: Rules) -> bytes | Fault:
        if place.problem is not None:
            return _fault("BAD_PATH", entry, place.problem)
        if place.namespace is not None and not allowed(place.namespace, rules.namespaces):
            outside = f"goes to {place.namespace!r}, outside {', '.join(rules.namespaces)}"
            return _fault("NAMESPACE_NOT_ALLOWED", entry, outside)
        try:
            content = self._store.read(entry.blob)
        except KeyError:
            content = None
        if content is None or len(content) > self._limits["blob_bytes"]:
            return _fault("FILE_TOO_BIG", entry, f"has over {self._limits['blob_bytes']} bytes")
        if content.startswith(LFS_MARK):
            return _fault("LFS_POINTER", entry, "is kept in Git LFS; commit the file itself")
        return content

    def _included(self, path: str) -> str | Fault | None:
        entry = self._entries.get(path)
        return None if entry is None else self._text(entry)

    def _text(self, entry: Entry) -> str | Fault:
        return self._store.read_text(entry, self._limits["file_bytes"])

    def _notes(self, listing: Listing, rules: Rules, sorting: Sorting) -> list[dict[str, Any]]:
        """What is said of entries that are no files, where one of ours would be."""

        def matters(fault: Fault) -> bool:
            return (
                fault.code in ("BAD_PATH", "SUBMODULE_SKIPPED")
                or sorting.file(fault.path) is not None
                or self._reads(fault.path, rules, sorting)
            )

        told = [fault for fault in listing.faults if matters(fault)]
        return [{**fault_data(fault), "path": self._shown(fault.path)} for fault in told]

    def _shown(self, path: str) -> str:
        return f"{self._folder}/{path}" if self._folder else path


def _fault(code: str, entry: Entry, why: str) -> Fault:
    return Fault(code=code, message=f"{entry.path} {why}", path=entry.path)
