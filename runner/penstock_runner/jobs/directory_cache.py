"""Keeps files of a WorkingDirectory from one execution to the next, as a zip in the storage.

Without a `key` there is one cache for the task (and each value of a loop around it); it is written
again when a file in it has changed. With a `key` there is one for each key, shared by the namespace
and never changed: when it is missing, the newest cache whose key begins as one of `restoreKeys`
says is taken in its place, and the files are kept under the key after a success.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from penstock_runner.flow import durations
from penstock_runner.flow.model import Level
from penstock_runner.jobs.context import JobContext
from penstock_runner.tasks import places
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.storage import FileFacts, FileMissing

LONGEST_KEY = 200
MOST_KEYS = 100
COPY_BYTES = 1 << 20

Stamps = dict[str, tuple[int, int]]


class DirectoryCache:
    """The cache of one run of a working directory."""

    def __init__(self, properties: Mapping[str, Any], context: JobContext) -> None:
        self._context = context
        render = context.renderer
        self._patterns = [str(one) for one in render.deep(properties.get("patterns") or [])]
        ttl = render.typed(properties.get("ttl"))
        try:
            self._ttl = None if ttl in (None, "") else durations.parse(ttl)
        except durations.BadDuration as error:
            raise TaskFailed(f"cache.ttl: {error}") from None
        key = render.typed(properties.get("key"))
        self._key = None if key in (None, "") else _checked(str(key))
        fallbacks = render.deep(properties.get("restoreKeys") or [])
        self._fallbacks = [str(one) for one in fallbacks if one not in (None, "")]
        self._restored: str | None = None
        self._stamps: Stamps = {}

    def restore(self) -> None:
        """Unpack the cache into the working directory; files that are there already stay."""
        found = self._find()
        if found is None:
            return
        try:
            self._unpack(found)
        except zipfile.BadZipFile as error:
            self._context.log(Level.WARN, f"The cache {found} is damaged and was dropped: {error}")
            self._context.storage.delete(found)
            return
        self._restored = found
        self._stamps = self._stamped()
        self._context.log(Level.DEBUG, f"Cache restored from {found}")

    def save(self) -> None:
        """Pack the files that match, unless the cache holds the same already."""
        uri = self._address(self._key)
        if self._key is not None and self._context.storage.exists(uri):
            return
        found = self._context.find_files(self._patterns)
        if not found or (self._restored == uri and self._stamped() == self._stamps):
            return
        with tempfile.TemporaryFile() as packed:
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for name, path in sorted(found.items()):
                    self._add(archive, name, path)
            packed.seek(0)
            self._context.storage.put_stream(uri, packed)
        if self._key is not None:
            self._drop_surplus()

    def _find(self) -> str | None:
        """The address of the cache to restore; one that is too old is deleted."""
        uri = self._address(self._key)
        try:
            if self._fresh(self._context.storage.facts(uri)):
                return uri
        except FileMissing:
            pass
        if self._key is None:
            return None
        for start in self._fallbacks:
            fitting = [facts for facts in self._named() if _key_of(facts).startswith(start)]
            for facts in sorted(fitting, key=lambda one: one.modified, reverse=True):
                if self._fresh(facts):
                    return facts.uri
        return None

    def _fresh(self, facts: FileFacts) -> bool:
        if self._ttl is None or facts.modified + self._ttl >= self._context.now():
            return True
        self._context.storage.delete(facts.uri)
        return False

    def _unpack(self, uri: str) -> None:
        storage, context = self._context.storage, self._context
        with storage.open(uri) as stream, zipfile.ZipFile(stream) as archive:
            for entry in archive.infolist():
                if entry.is_dir() or (context.workspace / entry.filename).exists():
                    continue
                with archive.open(entry) as content:
                    mode = (entry.external_attr >> 16) & 0o777
                    context.place_stream(entry.filename, content, mode=mode)

    def _add(self, archive: zipfile.ZipFile, name: str, path: Path) -> None:
        real = path.resolve()
        entry = zipfile.ZipInfo.from_file(real, name, strict_timestamps=False)
        entry.compress_type = zipfile.ZIP_DEFLATED
        with self._context.open_file(real) as source, archive.open(entry, "w") as target:
            shutil.copyfileobj(source, target, COPY_BYTES)

    def _stamped(self) -> Stamps:
        """When each file that matches was written last, and its size."""
        found: Stamps = {}
        for name, path in self._context.find_files(self._patterns).items():
            facts = path.stat()
            found[name] = (facts.st_mtime_ns, facts.st_size)
        return found

    def _named(self) -> list[FileFacts]:
        return list(self._context.storage.walk(places.named_caches(self._context.namespace)))

    def _drop_surplus(self) -> None:
        newest = sorted(self._named(), key=lambda facts: facts.modified, reverse=True)
        for facts in newest[MOST_KEYS:]:
            self._context.storage.delete(facts.uri)

    def _address(self, key: str | None) -> str:
        context = self._context
        if key is not None:
            return places.named_cache(context.namespace, key)
        taskrun: Any = context.variables.get("taskrun") or {}
        value = taskrun.get("value")
        text = None if value is None else str(value)
        return places.cache_file(context.namespace, context.flow_id, context.task_id, text)


def _checked(key: str) -> str:
    if len(quote(key, safe="")) > LONGEST_KEY:
        raise TaskFailed(
            f"cache.key: {key[:40]}... is too long: it has at most {LONGEST_KEY} characters, and "
            "those that are no letters or digits of ASCII count several times"
        )
    return key


def _key_of(facts: FileFacts) -> str:
    return unquote(facts.name.removesuffix(".zip"))
