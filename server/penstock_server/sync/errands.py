"""What a child of the git process does for one message: a look, a call of a forge, a check."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock_runner.flow.catalogue import Catalogue
from penstock_runner.tasks.storage import Storage
from penstock_server.sync.checking import check
from penstock_server.sync.look import Message, Tell, bring, look, silent
from penstock_server.sync.posting import post

KINDS = frozenset({"look", "call", "check", "bring"})


def run_errand(
    message: Mapping[str, Any],
    store: Path,
    catalogue: Catalogue,
    storage: Storage | None,
    tell: Tell = silent,
) -> Message:
    """Do what a message asks for; the answer names the same source. `tell` says how far it is."""
    match message["type"]:
        case "call":
            return post(message)
        case "check":
            return check(message, store)
        case "bring":
            return bring(message, store)
        case _:
            return look(message, store, catalogue, storage, tell)
