"""Files of namespaces that came from Git, beside those that people and tasks put there.

Their contents lie in the storage under a name that says what they hold; which content a path has is
a row of the store, changed in one transaction with the flows. `NamespaceStorage` is a storage in
which both kinds look the same.
"""

from __future__ import annotations

from penstock_runner.tasks import places

CONTENTS = places.address("_git/contents")


def content_address(sha256: str) -> str:
    """Where a content lies; no namespace can have this address."""
    return f"{CONTENTS}/{sha256[:2]}/{sha256}"
