"""Taking one commit into a store, with all that it needs and the store has not."""

from __future__ import annotations

import os
import tempfile
from typing import BinaryIO

from dulwich.client import FetchPackResult, GitClient, LocalGitClient
from dulwich.objects import ObjectID
from dulwich.repo import Repo

from penstock_runner.git.sifting import sift

_IN_MEMORY = 1024 * 1024


def receive(
    client: GitClient,
    path: str,
    repo: Repo,
    commit: str,
    *,
    ref: str,
    depth: int | None,
    blob_limit: int | None,
) -> None:
    """Fetch a commit; blobs over `blob_limit` are left out by the server, or else by us."""
    if blob_limit is None or isinstance(client, LocalGitClient):
        client.fetch(
            path,
            repo,
            determine_wants=lambda refs, depth=None: [_id(commit)],  # noqa: ARG005 - dulwich's
            depth=depth,
            ref_prefix=[ref.encode()],
        )
        return
    with _file(repo) as raw:
        result = client.fetch_pack(
            path,
            lambda refs, depth=None: [_id(commit)],  # noqa: ARG005 - dulwich's signature
            repo.get_graph_walker(),
            raw.write,
            depth=depth,
            ref_prefix=[ref.encode()],
            filter_spec=b"blob:limit=%d" % blob_limit,
        )
        _fit_format(repo, result)
        if raw.tell():
            raw.seek(0)
            _add(repo, raw, blob_limit)
    repo.update_shallow(result.new_shallow, result.new_unshallow)


def _add(repo: Repo, raw: BinaryIO, blob_limit: int) -> None:
    with _file(repo) as sifted:
        sift(raw, sifted, blob_limit, "sha256" if repo.object_format.name == "sha256" else "sha1")
        repo.object_store.add_thin_pack(sifted.read, None)


def _file(repo: Repo) -> BinaryIO:
    """A file beside the objects, for what may be too large for memory; it has no name."""
    return tempfile.SpooledTemporaryFile(  # type: ignore[return-value]
        max_size=_IN_MEMORY, prefix="incoming-", dir=os.fspath(repo.object_store.path)
    )


def _fit_format(repo: Repo, result: FetchPackResult) -> None:
    """An empty store takes the format of the repository, as dulwich's own fetch does it."""
    if result.object_format and result.object_format != repo.object_format.name:
        repo._change_object_format(result.object_format)  # noqa: SLF001 - nothing else does it


def _id(commit: str) -> ObjectID:
    return ObjectID(commit.encode())
