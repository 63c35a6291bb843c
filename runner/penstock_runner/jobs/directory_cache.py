"""Keeps files of a WorkingDirectory from one execution to the next, as a zip in the storage."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock_runner.flow import durations
from penstock_runner.flow.model import Level
from penstock_runner.jobs.context import JobContext
from penstock_runner.tasks import places
from penstock_runner.tasks.storage import FileMissing


def restore(cache: Mapping[str, Any], context: JobContext) -> None:
    """Unpack the cache into the working directory, unless there is none or it is too old."""
    uri = _address(context)
    try:
        facts = context.storage.facts(uri)
    except FileMissing:
        return
    ttl = context.renderer.typed(cache.get("ttl"))
    if ttl is not None and facts.modified + durations.parse(ttl) < context.now():
        context.storage.delete(uri)
        return
    with context.storage.open(uri) as stream, zipfile.ZipFile(stream) as archive:
        for entry in archive.infolist():
            if not entry.is_dir():
                content = archive.read(entry)
                context.place_bytes(entry.filename, content, mode=entry.external_attr >> 16)
    context.log(Level.DEBUG, f"Cache restored from {uri}")


def save(cache: Mapping[str, Any], context: JobContext) -> None:
    """Pack the files that match into a new cache, when there is none yet."""
    uri = _address(context)
    patterns = [str(pattern) for pattern in context.renderer.deep(cache.get("patterns") or [])]
    if context.storage.exists(uri):
        return
    found = context.find_files(patterns)
    if not found:
        return
    with tempfile.TemporaryFile() as packed:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, path in sorted(found.items()):
                _add(archive, name, path)
        packed.seek(0)
        context.storage.put_stream(uri, packed)


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    archive.write(path, name)


def _address(context: JobContext) -> str:
    taskrun: Any = context.variables.get("taskrun") or {}
    value = taskrun.get("value")
    text = None if value is None else str(value)
    return places.cache_file(context.namespace, context.flow_id, context.task_id, text)
