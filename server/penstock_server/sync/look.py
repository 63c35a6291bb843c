"""One look at one source: ask, fetch what is new, read it, and say it as plain data.

`look` is what the child process of a look does; it touches the network and the source's bare store
and nothing else. Paths are said from the root of the repository.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from penstock_runner.flow.catalogue import Catalogue
from penstock_runner.git.copies import copy_of
from penstock_runner.git.exceptions import DAMAGE
from penstock_runner.git.history import CommitInfo, cut
from penstock_runner.git.remote import Credentials, Remote, Rules, remote_of
from penstock_runner.git.store import BareStore, FolderMissing, Seen, Wanted, remote_refs
from penstock_runner.git.trouble import (
    GIT_CORRUPT,
    GIT_NETWORK,
    GIT_REF_NOT_FOUND,
    GIT_TOO_BIG,
    GitTrouble,
    message_for,
)
from penstock_runner.tasks.storage import Storage
from penstock_server.sync.gathering import gather
from penstock_server.sync.rereading import reread

MOST_CHANGED = 100_000
Message = dict[str, Any]
Tell = Callable[[Message], None]


def silent(_: Message) -> None:
    """Nobody wants to know how far it is."""


def look(
    request: Mapping[str, Any],
    store: Path,
    catalogue: Catalogue,
    storage: Storage | None = None,
    tell: Tell = silent,
) -> Message:
    """Answer a request: `seen`, `found` (`moved` to a brief one) or `failed`.

    Files of namespaces go to the storage. `tell` gets a `working` before a new commit is read.
    """
    source = request["source"]
    try:
        if "kept" in request:
            return reread(request, catalogue)
        return _look(request, store, catalogue, storage, tell)
    except GitTrouble as trouble:
        return failed(source["id"], _of_commit(source, trouble))
    except FolderMissing as missing:
        message = f"{missing}. Set `path` to a folder of the repository."
        return failed(source["id"], GitTrouble("GIT_PATH_NOT_FOUND", message))
    except MemoryError:
        return failed(source["id"], GitTrouble(GIT_TOO_BIG, "reading it takes too much memory"))


def bring(request: Mapping[str, Any], store: Path) -> Message:
    """Take one commit into the store of a source, for who wants its files: `brought`."""
    source, commit = request["source"], request["source"]["ref"]
    told = {"type": "brought", "source": source["id"], "commit": commit}
    try:
        copy = copy_of(remote_for(source), store)
        wanted, limit = Wanted(kind="commit", name=commit), source["limits"]["blob_bytes"]
        copy.fetch(wanted, applied=request.get("applied"), blob_limit=limit)
    except GitTrouble as trouble:
        why = _of_commit(source, trouble)
        return {**told, "error": f"{why.code} {why.message}"}
    except DAMAGE as damage:
        return {**told, "error": message_for(GIT_CORRUPT, source["url"], type(damage).__name__)}
    return {**told, "error": None}


def _of_commit(source: Mapping[str, Any], trouble: GitTrouble) -> GitTrouble:
    """Servers hang up when they are asked for a commit that they do not have."""
    if source["ref_kind"] != "commit" or trouble.code != GIT_NETWORK:
        return trouble
    remote = remote_for(source)
    try:
        remote_refs(remote, ["HEAD"])
    except GitTrouble:
        return trouble
    message = f"{remote.url} has no commit {source['ref']}, or does not give it out."
    return GitTrouble(GIT_REF_NOT_FOUND, message)


def failed(source_id: str, trouble: GitTrouble) -> Message:
    """The answer when the repository cannot be read."""
    return {
        "type": "failed",
        "source": source_id,
        "code": trouble.code,
        "message": trouble.message,
        "retry_after": trouble.retry_after,
    }


def remote_for(source: Mapping[str, Any]) -> Remote:
    """The remote of a request, with its secrets."""
    auth = source.get("auth") or {}
    return remote_of(
        source["url"],
        Credentials(
            username=auth.get("username"),
            password=auth.get("password"),
            ssh_key=auth.get("ssh_key"),
            passphrase=auth.get("passphrase"),
            known_hosts=auth.get("known_hosts"),
        ),
        token=auth.get("token"),
        rules=Rules(
            allow_http=bool(source.get("allow_http")),
            file_roots=tuple(Path(root) for root in source.get("file_roots") or ()),
            private_hosts=bool(source.get("allow_private", True)),
        ),
        ca_file=source.get("ca_file"),
        client_cert=source.get("client_cert"),
        insecure=bool(source.get("insecure")),
        proxy=source.get("proxy"),
    )


def _look(
    request: Mapping[str, Any],
    path: Path,
    catalogue: Catalogue,
    storage: Storage | None,
    tell: Tell,
) -> Message:
    source = request["source"]
    copy = copy_of(remote_for(source), path)
    known = request.get("seen")
    seen = (
        Seen(**known) if known else copy.look(Wanted(kind=source["ref_kind"], name=source["ref"]))
    )
    if seen.commit == request.get("observed") and not request.get("force"):
        return {"type": "seen", "source": source["id"], "commit": seen.commit, "ref": seen.ref}
    if request.get("brief"):
        return {"type": "moved", "source": source["id"], "seen": asdict(seen)}
    wanted = Wanted(kind="commit", name=seen.commit)
    applied, limit = request.get("applied"), source["limits"]["blob_bytes"]
    beside = request.get("beside") or ()
    try:
        copy.fetch(wanted, applied=applied, blob_limit=limit, beside=beside)
        _announce(request, seen, tell)
        return _found(request, path, seen, catalogue, storage)
    except GitTrouble as trouble:
        if trouble.code != GIT_CORRUPT:
            raise
    except DAMAGE:
        pass
    # Whatever is wrong with the local copy, a fresh one is cheap; a second time it is the host's.
    try:
        copy.renew(wanted, applied=applied, blob_limit=limit, beside=beside)
        return _found(request, path, seen, catalogue, storage)
    except DAMAGE as damage:
        message = message_for(GIT_CORRUPT, copy.remote.url, type(damage).__name__)
        raise GitTrouble(GIT_CORRUPT, message) from damage


def _announce(request: Mapping[str, Any], seen: Seen, tell: Tell) -> None:
    """Say that a commit is worked on, when it is one that core has not tried before."""
    if request.get("announce") and seen.commit not in request["announce"]["tried"]:
        source_id = request["source"]["id"]
        tell({"type": "working", "source": source_id, "commit": seen.commit, "ref": seen.ref})


def _found(
    request: Mapping[str, Any],
    path: Path,
    seen: Seen,
    catalogue: Catalogue,
    storage: Storage | None,
) -> Message:
    source = request["source"]
    folder = source.get("path") or ""
    applied, commit = request.get("applied"), seen.commit
    with BareStore(path) as store:
        base = applied if applied and store.has(applied) else None
        since = store.commits_between(base, commit)
        touched = store.last_touched(since, folder) if base and not since.rewritten else {}
        gathered = gather(
            request, store, commit, catalogue=catalogue, touched=touched, storage=storage
        )
        changed = store.changed_paths(base, commit)
        return {
            "type": "found",
            "source": source["id"],
            "ref": seen.ref,
            "commit": commit_data(store.commit_info(commit)),
            "commits": [commit_data(cut(info)) for info in since.commits],
            "rewritten": since.rewritten,
            "changed": list(changed[:MOST_CHANGED]),
            "changed_count": len(changed),
            "files": gathered.files,
            "notes": gathered.notes,
            "reconfigured": gathered.reconfigured,
        }


def commit_data(info: CommitInfo) -> Message:
    """A commit as plain data; times as ISO text."""
    return {
        "sha": info.sha,
        "parents": list(info.parents),
        "author_name": info.author_name,
        "author_email": info.author_email,
        "author_time": info.author_time.isoformat(),
        "committer_time": info.committer_time.isoformat(),
        "subject": info.subject,
        "message": info.message,
    }
