"""What a deploy sends: its files, read and checked here, so that core only plans and writes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from penstock_runner.flow.binding import NAMESPACE
from penstock_runner.flow.catalogue import Catalogue
from penstock_runner.flow.faults import Fault, Severity
from penstock_runner.flow.report import in_order, record
from penstock_runner.tasks.storage import Storage
from penstock_server.api.problems import illegal_argument, invalid_entity
from penstock_server.core.shapes import Json, iso
from penstock_server.sync.file_rules import FileLayout, Sorting
from penstock_server.sync.reading import Reader, fault_from, file_of
from penstock_server.sync.stored_files import stored_file

SOURCE_ID = re.compile(r"[a-z0-9-]{1,63}")
LONGEST_PATH = 1024
LONGEST_WORD = 300
LONGEST_MESSAGE = 4096
LARGEST_FILE = 10 * 1024 * 1024
RECORDS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A deploy that may go to core; `found` has the shape of an answer of the git process."""

    source: str
    url: str
    found: Json
    warnings: list[dict[str, object]]


def read(
    body: Mapping[str, Any],
    files: Mapping[str, str],
    *,
    catalogue: Catalogue,
    actor: str,
    now: datetime,
    strict: bool,
    others: Mapping[str, bytes] = MappingProxyType({}),
    executable: Collection[str] = (),
    storage: Storage | None = None,
) -> Sent:
    """Read the files; a fault that blocks is an answer with all of them.

    `files` may hold flows, or be files of a namespace like `others`: their folder says it, as in a
    repository. `folder` in the body is the one that folders are named from.
    """
    source = _word(body, "source") or "ci"
    if SOURCE_ID.fullmatch(source) is None:
        raise illegal_argument("source is up to 63 of a-z, 0-9 and '-'")
    namespace = _namespace(_word(body, "namespace"))
    reader = Reader(catalogue=catalogue, namespace=namespace, include=files.get)
    every: dict[str, str | bytes] = {**files, **others}
    commit = _commit(body, every, actor, now)
    namespaced = _Namespaced(_word(body, "folder"), namespace, every, storage)
    read_files: list[Json] = []
    for path, given in sorted(every.items()):
        file = namespaced.file(_path(path), given, executable=path in executable)
        if file is None and isinstance(given, str):
            file = reader.file(path, _blob(given), given)
        if file is not None:
            read_files.append({**file, "commit": commit["sha"]})
    warnings = _warnings(read_files, strict=strict)
    repository = _word(body, "repository")
    return Sent(
        source=source,
        url=f"deploy:{repository or source}",
        found={
            "commit": commit,
            "commits": [],
            "ref": _word(body, "ref"),
            "rewritten": False,
            "changed": [],
            "files": read_files,
            "notes": [],
        },
        warnings=warnings,
    )


def _warnings(files: Iterable[Json], *, strict: bool) -> list[dict[str, object]]:
    """The faults that do not block; those that do are raised, all of them."""
    faults = [fault_from(fault) for file in files for fault in file["faults"]]
    blocking = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    blocked = [fault for fault in faults if fault.severity in blocking]
    if blocked:
        raise invalid_entity(_summary(blocked), [record(f) for f in in_order(blocked)[:RECORDS]])
    return [record(f) for f in in_order(faults) if f.severity is Severity.WARNING][:RECORDS]


class _Namespaced:
    """Tells the files of namespaces from flows, and stores what they hold."""

    def __init__(
        self, folder: str, home: str | None, paths: Iterable[str], storage: Storage | None
    ) -> None:
        self._top = f"{folder.strip('/')}/" if folder.strip("/") else ""
        self._sorting = Sorting(FileLayout(), home, [self._inside(path) for path in paths])
        self._storage = storage

    def file(self, path: str, given: str | bytes, *, executable: bool) -> Json | None:
        place = self._sorting.file(self._inside(path))
        if place is None or self._storage is None:
            return None
        content = given.encode() if isinstance(given, str) else given
        blob = _blob(content)
        problem = place.problem
        if len(content) > LARGEST_FILE:
            problem = f"has over {LARGEST_FILE} bytes"
        if problem is not None:
            fault = Fault(code="BAD_PATH", message=f"{path} {problem}", path=path)
            return file_of(path, blob, faults=[fault])
        described = stored_file(self._storage, place, content, executable=executable)
        return {**file_of(path, blob), "file": described}

    def _inside(self, path: str) -> str:
        return path.removeprefix(self._top)


def _summary(blocked: list[Fault]) -> str:
    more = f" and {len(blocked) - 1} more" if len(blocked) > 1 else ""
    return f"{blocked[0]}{more}; nothing was deployed"


def _namespace(namespace: str) -> str | None:
    if namespace and NAMESPACE.fullmatch(namespace) is None:
        raise illegal_argument("namespace is no name of a namespace")
    return namespace or None


def _commit(
    body: Mapping[str, Any], files: Mapping[str, str | bytes], actor: str, now: datetime
) -> Json:
    """What is known of the commit; without one the files themselves give it a name."""
    author = _word(body, "author") or actor
    message = _word(body, "message", LONGEST_MESSAGE) or f"Deployed by {actor}"
    at = _time(_word(body, "time"), now)
    return {
        "sha": _word(body, "commit") or _digest(files),
        "parents": [],
        "author_name": author,
        "author_email": _word(body, "email"),
        "author_time": at,
        "committer_time": at,
        "subject": message.splitlines()[0][:200],
        "message": message,
    }


def _time(text: str, now: datetime) -> str:
    if not text:
        return iso(now)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise illegal_argument("time is an ISO instant, 2026-01-31T12:00:00Z") from None
    if at.tzinfo is None:
        raise illegal_argument("time needs its offset, 2026-01-31T12:00:00Z")
    return iso(at)


def _word(body: Mapping[str, Any], name: str, longest: int = LONGEST_WORD) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > longest or "\0" in value:
        raise illegal_argument(f"{name} is a text of up to {longest} characters")
    return value.strip()


def _path(path: str) -> str:
    parts = path.split("/")
    bad = not path or len(path) > LONGEST_PATH or "\\" in path or not path.isprintable()
    if bad or any(part in {"", ".", ".."} for part in parts):
        raise illegal_argument("a path of files is relative, with '/' and without '..'")
    return path


def _blob(content: str | bytes) -> str:
    """The id that Git gives the same content."""
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return hashlib.sha1(b"blob %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest()


def _digest(files: Mapping[str, str | bytes]) -> str:
    text = "\n".join(f"{path} {_blob(content)}" for path, content in sorted(files.items()))
    return hashlib.sha1(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
