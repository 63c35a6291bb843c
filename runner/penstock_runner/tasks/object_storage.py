"""The internal storage in a bucket: S3 and what speaks like it, or Google Cloud Storage.

Needs the extra `object-storage`, which is imported when a storage is opened and not before. There
are no folders in a bucket: one is there as long as a file is below it. A file appears whole, since
a bucket shows an object only when all of it has arrived.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

from penstock_runner.tasks.storage import (
    SCHEME,
    BadAddress,
    FileFacts,
    FileMissing,
    Storage,
    check_address,
)

SCHEMES = ("s3://", "gs://")
REQUEST_SECONDS = "60s"
CONNECT_SECONDS = "10s"
RETRY_SECONDS = 30
IN_MEMORY = 1 << 20
AT_ONCE = 1000
EPOCH = datetime.fromtimestamp(0, UTC)
OPTIONS = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"),
    *("AWS_DEFAULT_REGION", "AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP"),
    *("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    *("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_APPLICATION_CREDENTIALS"),
    *("GOOGLE_BASE_URL", "GOOGLE_ALLOW_HTTP"),
)
"""Variables of the service that say how to reach a bucket; jobs never see them."""


class StorageUnreachable(OSError):
    """The bucket did not answer, or refused; the message says which and why."""


class ExtraMissing(Exception):
    """Something was set that needs an extra which is not installed; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Where a storage is: `s3://bucket/prefix` or `gs://bucket/prefix`, and how to reach it."""

    url: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


def bucket_of(place: str, environment: Mapping[str, str]) -> Bucket | None:
    """The bucket that a setting names, None when it names a folder."""
    if not place.startswith(SCHEMES):
        return None
    start = "AWS_" if place.startswith("s3:") else "GOOGLE_"
    options = {
        name.lower(): environment[name]
        for name in OPTIONS
        if name.startswith(start) and environment.get(name)
    }
    return Bucket(url=place, options=options)


def require_extra(bucket: Bucket) -> None:
    """Raise `ExtraMissing` where buckets cannot be used."""
    if find_spec("obstore") is None:
        raise ExtraMissing(
            f"storage {bucket.url} needs the extra object-storage: pip install "
            "'penstock[object-storage]'"
        )


def open_bucket(bucket: Bucket) -> Storage:
    """The storage in a bucket; nothing is asked of it before its first use."""
    require_extra(bucket)
    return ObjectStorage(lambda: _connected(bucket), bucket.url)


def _connected(bucket: Bucket) -> Any:
    from obstore.store import GCSStore, S3Store

    client: Any = {"timeout": REQUEST_SECONDS, "connect_timeout": CONNECT_SECONDS}
    options: Any = dict(bucket.options)
    plain = [options.pop(f"{name}_allow_http", "") for name in ("aws", "google")]
    if "true" in map(str.lower, plain):
        client["allow_http"] = True
    kind: Any = S3Store if bucket.url.startswith("s3:") else GCSStore
    return kind.from_url(
        bucket.url,
        config=options,
        client_options=client,
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
    )


class ObjectStorage:
    """Files as objects of a store of obstore's.

    `connect` is called once in each process that uses the storage: its threads survive no fork.
    """

    def __init__(self, connect: Callable[[], Any], name: str = "the bucket") -> None:
        self._connect = connect
        self._name = name

    @cached_property
    def _store(self) -> Any:
        return self._connect()

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        """The functions of obstore; what goes wrong between us and the bucket is told in a line."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            yield obstore
        except BaseError as error:
            reason = str(error).partition("\n")[0]
            raise StorageUnreachable(f"storage {self._name}: {reason}") from None

    def put_file(self, uri: str, source: Path, *, move: bool = False) -> str:
        """Store a regular file; a link is refused, since it may lead out of a task's folder."""
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise BadAddress(f"{source.name} is not a regular file and cannot be stored")
        with os.fdopen(descriptor, "rb") as stream:
            self.put_stream(uri, stream)
        if move:
            source.unlink()
        return uri

    def put_bytes(self, uri: str, content: bytes) -> str:
        """Store some bytes."""
        return self.put_stream(uri, BytesIO(content))

    def put_stream(self, uri: str, stream: BinaryIO) -> str:
        """Store all that the stream gives; what has no position is written to a file first."""
        key = self._key(uri)
        if stream.seekable():
            self._put(key, stream)
            return uri
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as spool:
            while chunk := stream.read(IN_MEMORY):
                spool.write(chunk)
            spool.seek(0)
            self._put(key, cast("BinaryIO", spool))
        return uri

    def _put(self, key: str, stream: BinaryIO) -> None:
        with self._asking() as obstore:
            obstore.put(self._store, key, stream)

    def open(self, uri: str) -> BinaryIO:
        """Fetch a stored file, to be read; it is gone when it is closed."""
        out = tempfile.TemporaryFile()  # noqa: SIM115 - the reader closes it
        try:
            self._copy(uri, out)
        except BaseException:
            out.close()
            raise
        out.seek(0)
        return cast("BinaryIO", out)

    def read_bytes(self, uri: str, limit: int | None = None) -> bytes:
        """The content of a file, at most `limit` bytes of it."""
        facts = self._existing(uri)
        length = facts.size if limit is None else min(limit, facts.size)
        if length == 0:
            return b""
        with self._asking() as obstore:
            found = obstore.get_range(self._store, self._key(uri), start=0, length=length)
            return bytes(found)

    def fetch(self, uri: str, target: Path) -> None:
        """Copy a stored file to a local path."""
        self._existing(uri)
        with target.open("wb") as out:
            self._copy(uri, out)

    def facts(self, uri: str) -> FileFacts:
        """What is known of a file or folder."""
        try:
            return self._existing(uri)
        except FileMissing:
            if next(self.walk(uri), None) is None:
                raise
        key = self._key(uri)
        return FileFacts(
            uri=f"{SCHEME}/{key}",
            name=key.rpartition("/")[2],
            size=0,
            directory=True,
            modified=EPOCH,
        )

    def exists(self, uri: str) -> bool:
        """Whether there is a file or folder."""
        try:
            self.facts(uri)
        except FileMissing:
            return False
        return True

    def delete(self, uri: str) -> bool:
        """Delete a file, or a folder with all in it; whether there was one."""
        key = self._key(uri)
        keys = [self._key(facts.uri) for facts in self.walk(uri)]
        with self._asking() as obstore:
            for start in range(0, len(keys), AT_ONCE):
                self._delete(obstore, keys[start : start + AT_ONCE])
        return bool(keys and key)

    def _delete(self, obstore: Any, keys: list[str]) -> None:
        """Delete objects, of which others may have deleted some meanwhile."""
        try:
            obstore.delete(self._store, keys)
        except FileNotFoundError:
            for key in keys:
                with suppress(FileNotFoundError):
                    obstore.delete(self._store, key)

    def delete_below(self, prefix: str) -> list[str]:
        """Delete all files below an address and give their addresses, then that of the folder."""
        key = self._key(prefix)
        found = [facts.uri for facts in self.walk(prefix)]
        if not found:
            return []
        self.delete(prefix)
        folder = f"{SCHEME}/{key}"
        return found if found == [folder] else [*found, folder]

    def walk(self, prefix: str) -> Iterator[FileFacts]:
        """All files below an address, in the order of their paths."""
        key = check_address(prefix)
        with self._asking() as obstore:
            batches = obstore.list(self._store, prefix=key or None)
            found = [_facts(entry) for batch in batches for entry in batch]
        if key:
            with suppress(FileMissing):
                found.append(self._existing(prefix))
        yield from sorted({facts.uri: facts for facts in found}.values(), key=lambda one: one.uri)

    def _copy(self, uri: str, out: Any) -> None:
        try:
            with self._asking() as obstore:
                found = obstore.get(self._store, self._key(uri))
                for chunk in found.stream(min_chunk_size=IN_MEMORY):
                    out.write(chunk)
        except FileNotFoundError:
            raise FileMissing(f"File not found: {uri}") from None

    def _existing(self, uri: str) -> FileFacts:
        try:
            with self._asking() as obstore:
                return _facts(obstore.head(self._store, self._key(uri)))
        except FileNotFoundError:
            raise FileMissing(f"File not found: {uri}") from None

    def _key(self, uri: str) -> str:
        key = check_address(uri)
        if not key:
            raise BadAddress(f"'{uri}' is the storage itself, not a file in it")
        return key


def _facts(entry: Mapping[str, Any]) -> FileFacts:
    path = str(entry["path"])
    return FileFacts(
        uri=f"{SCHEME}/{path}",
        name=path.rpartition("/")[2],
        size=int(entry["size"]),
        directory=False,
        modified=entry["last_modified"].astimezone(UTC),
    )
