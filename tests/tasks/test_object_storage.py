"""The storage in a bucket keeps the promises of the storage in a folder."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tasks.bucket import NAME, bucket

from penstock_runner.tasks import object_storage
from penstock_runner.tasks.object_storage import (
    Bucket,
    ExtraMissing,
    ObjectStorage,
    StorageUnreachable,
    bucket_of,
    open_bucket,
)
from penstock_runner.tasks.storage import BadAddress, FileMissing, LocalStorage, Storage

URI = "kestra:///a/b/file.txt"
needs_the_extra = pytest.mark.skipif(
    importlib.util.find_spec("obstore") is None, reason="the extra object-storage is not installed"
)


def environment_of(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "s3cret-word",
        "AWS_REGION": "eu-west-1",
        "OTHER": "x",
    }


@pytest.fixture(params=["folder", "memory", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "folder":
        yield LocalStorage(tmp_path / "storage")
        return
    pytest.importorskip("obstore", reason="the extra object-storage is not installed")
    if request.param == "memory":
        from obstore.store import MemoryStore

        yield ObjectStorage(MemoryStore)
        return
    with bucket() as (endpoint, _):
        found = bucket_of(f"s3://{NAME}/below", environment_of(endpoint))
        assert found is not None
        yield open_bucket(found)


def test_what_is_put_can_be_read(storage: Storage, tmp_path: Path) -> None:
    assert storage.put_bytes(URI, b"text") == URI
    assert storage.read_bytes(URI) == b"text"
    assert storage.read_bytes(URI, limit=2) == b"te"
    assert storage.read_bytes(URI, limit=99) == b"text"
    storage.fetch(URI, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"text"
    with storage.open(URI) as stream:
        assert list(stream) == [b"text"]
    facts = storage.facts(URI)
    assert (facts.uri, facts.name, facts.size, facts.directory) == (URI, "file.txt", 4, False)
    assert storage.facts("kestra:///a").directory
    assert storage.exists("kestra:///a")
    assert storage.put_bytes(URI, b"") == URI
    assert storage.read_bytes(URI) == b""


def test_a_moved_file_leaves_its_place_and_a_link_is_not_followed(
    storage: Storage, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_text("moved")
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(OSError, match="link"):
        storage.put_file(URI, tmp_path / "link")
    with pytest.raises(BadAddress, match="not a regular file"):
        storage.put_file(URI, tmp_path)
    assert not storage.exists(URI)
    storage.put_file(URI, source)
    assert source.exists()
    storage.put_file(URI, source, move=True)
    assert not source.exists()
    assert storage.read_bytes(URI) == b"moved"


class Pipe(io.RawIOBase):
    """A stream that cannot go back."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._content.readinto(buffer)


def test_a_stream_that_cannot_go_back_is_stored(storage: Storage) -> None:
    storage.put_stream(URI, io.BufferedReader(Pipe(b"x" * 100_000)))
    assert storage.facts(URI).size == 100_000


def test_a_missing_file_is_missing(storage: Storage, tmp_path: Path) -> None:
    assert not storage.exists(URI)
    assert storage.delete(URI) is False
    assert storage.delete_below(URI) == []
    assert list(storage.walk(URI)) == []
    for read in (storage.open, storage.facts, storage.read_bytes):
        with pytest.raises(FileMissing, match=r"kestra:///a/b/file\.txt"):
            read(URI)
    with pytest.raises(FileMissing):
        storage.fetch(URI, tmp_path / "copy")


def test_bad_addresses_and_the_storage_itself_are_refused(storage: Storage) -> None:
    storage.put_bytes(URI, b"")
    for uri in ("kestra:///a/../../etc/passwd", "/a/b", "file:///etc/passwd"):
        for call in (storage.exists, storage.delete, storage.open, storage.delete_below):
            with pytest.raises(BadAddress):
                call(uri)
    for call in (storage.delete, storage.delete_below):
        with pytest.raises(BadAddress):
            call("kestra:///")
    assert storage.exists(URI)


def test_deleting_below_names_the_files_then_the_folder(storage: Storage) -> None:
    names = ["a.txt", "b.txt", "c.txt", "d/e.txt"]
    for name in reversed(names):
        storage.put_bytes(f"kestra:///x/{name}", b"")
    storage.put_bytes("kestra:///xy/other.txt", b"")
    addresses = [f"kestra:///x/{name}" for name in names]
    assert [facts.uri for facts in storage.walk("kestra:///x")] == addresses
    assert storage.delete_below("kestra:///x") == [*addresses, "kestra:///x"]
    assert not storage.exists("kestra:///x")
    assert storage.exists("kestra:///xy/other.txt")


def test_a_folder_goes_with_all_that_is_in_it(storage: Storage) -> None:
    for name in ("a", "b/c"):
        storage.put_bytes(f"kestra:///x/{name}", b"")
    assert storage.delete("kestra:///x/b/c") is True
    assert storage.exists("kestra:///x/a")
    assert storage.delete("kestra:///x") is True
    assert list(storage.walk("kestra:///x")) == []


@pytest.mark.parametrize("name", ["ä ö.txt", "deps%2Fx.zip", "a+b=c~d.txt", "папка/x"])
def test_any_name_comes_back_as_it_was(storage: Storage, name: str) -> None:
    uri = f"kestra:///n/{name}"
    storage.put_bytes(uri, b"x")
    assert [facts.uri for facts in storage.walk("kestra:///n")] == [uri]
    assert storage.read_bytes(uri) == b"x"


@needs_the_extra
def test_the_files_of_a_bucket_are_below_its_prefix(tmp_path: Path) -> None:
    with bucket() as (endpoint, objects):
        found = bucket_of(f"s3://{NAME}/below/here", environment_of(endpoint))
        assert found is not None
        open_bucket(found).put_bytes(URI, b"text")
        assert objects == {"below/here/a/b/file.txt": b"text"}


@needs_the_extra
def test_a_bucket_that_does_not_answer_is_told_in_one_line() -> None:
    found = bucket_of("s3://files", environment_of("http://127.0.0.1:1"))
    assert found is not None
    with pytest.raises(StorageUnreachable, match="storage s3://files: ") as told:
        open_bucket(found).exists(URI)
    assert "\n" not in str(told.value)
    assert "s3cret-word" not in str(told.value)


def test_a_place_is_a_bucket_only_when_it_says_so() -> None:
    environment = {"AWS_REGION": "eu-west-1", "GOOGLE_SERVICE_ACCOUNT": "/key.json", "HOME": "/x"}
    assert bucket_of("/var/lib/files", environment) is None
    for url, options in (
        ("s3://b/p", {"aws_region": "eu-west-1"}),
        ("gs://b", {"google_service_account": "/key.json"}),
    ):
        assert bucket_of(url, environment) == Bucket(url=url, options=options)


def test_keys_of_a_bucket_are_in_no_text() -> None:
    found = bucket_of("s3://b", environment_of("http://127.0.0.1:1"))
    assert "s3cret-word" not in repr(found)


def test_a_bucket_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_storage, "find_spec", lambda _: None)
    with pytest.raises(ExtraMissing, match=r"pip install 'penstock\[object-storage\]'"):
        open_bucket(Bucket(url="s3://b"))
