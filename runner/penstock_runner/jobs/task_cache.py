"""`taskCache`: outputs of an earlier success, used again for the same rendered properties.

What is kept is one file of the storage for each task and each set of properties. Outputs that name
files which are no longer stored are not used, and a task whose properties cannot be rendered
beforehand is simply run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson

from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.flow import durations
from penstock_runner.flow.model import Level
from penstock_runner.jobs.context import JobContext
from penstock_runner.tasks import places
from penstock_runner.tasks.api import Outputs, TaskFailed
from penstock_runner.tasks.storage import SCHEME, BadAddress, FileMissing

NOT_KNOWN_BEFOREHAND = {"workingDir": "", "outputDir": ""}


class TaskCache:
    """What one task run may take over, and what it leaves for the next."""

    def __init__(self, properties: Mapping[str, Any], uri: str, context: JobContext) -> None:
        self._uri = uri
        self._context = context
        ttl = context.renderer.typed(properties.get("ttl"))
        try:
            self._ttl = None if ttl in (None, "") else durations.parse(ttl)
        except durations.BadDuration as error:
            raise TaskFailed(f"taskCache.ttl: {error}") from None

    def kept(self) -> Outputs | None:
        """The outputs of an earlier run, None when there are none to be used."""
        storage = self._context.storage
        try:
            found = orjson.loads(storage.read_bytes(self._uri))
            made = datetime.fromisoformat(found["at"])
            outputs: Outputs = found["outputs"]
        except (FileMissing, KeyError, TypeError, ValueError):
            return None
        if self._ttl is not None and made + self._ttl < self._context.now():
            storage.delete(self._uri)
            return None
        if not _walk(outputs, self._stored):
            return None
        self._context.log(Level.INFO, f"Outputs of an earlier run, of {made:%Y-%m-%d %H:%M:%S}Z")
        return outputs

    def keep(self, outputs: Mapping[str, Any]) -> None:
        """Leave the outputs of a success for the next run."""
        entry = {"at": self._context.now().isoformat(), "outputs": dict(outputs)}
        self._context.storage.put_bytes(self._uri, orjson.dumps(entry, default=str))

    def _stored(self, text: str) -> bool:
        if not text.startswith(SCHEME):
            return True
        try:
            return self._context.storage.exists(text)
        except BadAddress:
            return True


def task_cache(task: Mapping[str, Any], context: JobContext) -> TaskCache | None:
    """The cache of a task that has asked for one."""
    properties = task.get("taskCache")
    if not properties or not context.renderer.typed(properties.get("enabled", False)):
        return None
    try:
        rendered = context.render(dict(task.get("properties") or {}), NOT_KNOWN_BEFOREHAND)
    except ExpressionFailed:
        return None
    told = orjson.dumps([task["type"], rendered], option=orjson.OPT_SORT_KEYS, default=str)
    digest = hashlib.sha256(told).hexdigest()
    uri = places.task_cache_file(context.namespace, context.flow_id, str(task["id"]), digest)
    return TaskCache(properties, uri, context)


def _walk(value: object, holds: Callable[[str], bool]) -> bool:
    match value:
        case str():
            return holds(value)
        case Mapping():
            return all(_walk(item, holds) for item in value.values())
        case list():
            return all(_walk(item, holds) for item in value)
        case _:
            return True
