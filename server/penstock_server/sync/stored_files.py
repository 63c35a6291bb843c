"""Keeps what the files of namespaces hold, as core is told of them."""

from __future__ import annotations

import hashlib
from typing import Any

from penstock_runner.tasks.namespace_files import content_address
from penstock_runner.tasks.storage import Storage
from penstock_server.sync.file_rules import FilePlace


def stored_file(
    storage: Storage | None, place: FilePlace, content: bytes, *, executable: bool
) -> dict[str, Any]:
    """Store the content by its digest and describe the file; without a storage only describe it."""
    sha256 = hashlib.sha256(content).hexdigest()
    if storage is not None:
        # Written again where it lies already: what is old and unused may be deleted any time.
        storage.put_bytes(content_address(sha256), content)
    return {
        "namespace": place.namespace,
        "path": place.path,
        "sha256": sha256,
        "size": len(content),
        "executable": executable,
    }
