"""Sources that read the same ref of the same repository have one store, and so one fetch.

It is that of the first of them by name; a small file beside the stores says so for each of the
others, for who looks for the store of a source by its name. Sources of other refs have stores of
their own: a store is shallow, and two lines of history would cut each other short.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from penstock_runner.git.upkeep import discard, pointer
from penstock_server.sync.held import HeldSource
from penstock_server.sync.requests import Shared
from penstock_server.sync.settings import SourceSettings


def shared_store(source: HeldSource, all_sources: Iterable[HeldSource]) -> Shared | None:
    """The store that a source shares with others; None when it is alone."""
    line = _line(source.settings)
    together = [one for one in all_sources if _line(one.settings) == line]
    if len(together) < 2:
        return None
    applied = [one.state.applied_commit for one in together if one is not source]
    return Shared(
        store=min(one.settings.id for one in together),
        applied=sorted({sha for sha in applied if sha is not None}),
    )


def _line(settings: SourceSettings) -> tuple[str, str, str]:
    return settings.shown_url, settings.ref_kind, settings.ref_name


def store_of(described: Mapping[str, Any]) -> str:
    """The name of the store of a source, as a request describes it."""
    return str(described.get("store") or described["id"])


def say_where(stores: Path, described: Mapping[str, Any]) -> None:
    """Note in which store a source is found, when it is not the one of its own name."""
    source_id, store = str(described["id"]), store_of(described)
    said = pointer(stores, source_id)
    if store == source_id:
        said.unlink(missing_ok=True)
    elif not said.exists() or said.read_text() != store:
        fresh = said.with_name(f"{said.name}.{os.getpid()}")
        fresh.write_text(store)
        fresh.rename(said)
        discard(stores / source_id)
