"""An applied commit from memory: its texts are in the store, so going back needs no network.

Core says which flows differ from what runs now and sends their texts; the git process reads and
checks them as if they had just been fetched, since Penstock may have become stricter meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_runner.flow.catalogue import Catalogue
from penstock_server.store import flows, sources
from penstock_server.sync.desired import Manifest
from penstock_server.sync.reading import Reader, file_of

Message = dict[str, Any]


def kept_commit(connection: Any, source_id: str, sha: str, manifest: Manifest) -> Message | None:
    """What the store remembers of a commit; None when a text of it is not there."""
    items = [item for entry in manifest.values() for item in entry["items"]]
    heads = flows.heads(connection, [(item["namespace"], item["id"]) for item in items])
    changed = [item for item in items if not _runs(item, heads, source_id)]
    names = [(item["namespace"], item["id"], item["revision"]) for item in changed]
    texts = flows.texts(connection, names)
    wanted = {name: item["digest"] for name, item in zip(names, changed, strict=True)}
    if any(flows.digest(texts.get(name, "")) != digest for name, digest in wanted.items()):
        return None
    files = []
    for path, entry in manifest.items():
        file: Message = {"path": path, "blob": entry["blob"]}
        if entry.get("file"):
            file["file"] = entry["file"]
        if entry.get("tests"):
            file["tests"] = entry["tests"]
        if any(item in changed for item in entry["items"]):
            file["texts"] = [
                {
                    "pointer": item["pointer"],
                    "text": texts.get((item["namespace"], item["id"], item["revision"]))
                    or _text_of(connection, item),
                }
                for item in entry["items"]
            ]
        files.append(file)
    return {"commit": _commit(connection, source_id, sha), "files": files}


def _runs(
    item: Mapping[str, Any], heads: Mapping[tuple[str, str], flows.Head], source_id: str
) -> bool:
    head = heads.get((item["namespace"], item["id"]))
    return (
        head is not None
        and not head.deleted
        and head.managed_by == source_id
        and head.digest == item["digest"]
    )


def _text_of(connection: Any, item: Mapping[str, Any]) -> str:
    found = flows.revision(connection, item["namespace"], item["id"], item["revision"])
    return found.source if found is not None else ""


def _commit(connection: Any, source_id: str, sha: str) -> Message:
    known = sources.commit(connection, source_id, sha)
    author_time = known.author_time if known is not None else None
    committer_time = known.committer_time if known is not None else None
    never = "1970-01-01T00:00:00+00:00"
    return {
        "sha": sha,
        "parents": list(known.parents) if known is not None else [],
        "author_name": (known.author_name if known is not None else None) or "",
        "author_email": (known.author_email if known is not None else None) or "",
        "author_time": author_time.isoformat() if author_time is not None else never,
        "committer_time": committer_time.isoformat() if committer_time is not None else never,
        "subject": (known.subject if known is not None else None) or "",
        "message": (known.message if known is not None else None) or "",
    }


def reread(request: Mapping[str, Any], catalogue: Catalogue) -> Message:
    """What the child of a look answers for a commit that core remembers."""
    source, kept = request["source"], request["kept"]
    sha = kept["commit"]["sha"]
    reader = Reader(
        catalogue=catalogue,
        namespaces=source.get("namespaces") or ("*",),
        labels=source.get("labels") or {},
    )
    files = [{**_file(reader, file), "commit": sha} for file in kept["files"]]
    return {
        "type": "found",
        "source": source["id"],
        "ref": request["ref"],
        "commit": kept["commit"],
        "commits": [],
        "rewritten": False,
        "changed": [],
        "changed_count": 0,
        "files": files,
        "notes": [],
    }


def _file(reader: Reader, file: Mapping[str, Any]) -> Message:
    path, blob = file["path"], file["blob"]
    if "file" in file:
        # The content of a namespace file is kept as long as a commit is remembered that had it.
        return {**file_of(path, blob), "file": file["file"]}
    if "texts" not in file:
        return file_of(path, blob, known=True)
    items: list[Message] = []
    faults: list[Any] = []
    for one in file["texts"]:
        found = reader.file(path, blob, one["text"])
        items += [{**item, "pointer": one["pointer"]} for item in found["items"]]
        faults += found["faults"]
    return {**file_of(path, blob, items=items), "faults": faults, "tests": file.get("tests") or []}
