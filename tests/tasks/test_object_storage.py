"""The storage in a bucket keeps the promises of the storage in a folder."""

from __future__ import annotations

import importlib.util
import io
import json
import socket
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


def google(endpoint: str) -> dict[str, str]:
    """A service account of an emulator, as a key in the environment."""
    account = {"gcs_base_url": endpoint, "disable_oauth": True}
    empty = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    return {
        "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps({**account, **empty}),
        "GOOGLE_ALLOW_HTTP": "true",
    }


def opened(place: str, environment: dict[str, str]) -> Storage:
    found = bucket_of(place, environment)
    assert found is not None
    return open_bucket(found)


PLACES = {
    "s3": (f"s3://{NAME}", environment_of),
    "gs": (f"gs://{NAME}", google),
}


@pytest.fixture(params=["folder", "memory", "s3", "gs"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "folder":
        yield LocalStorage(tmp_path / "storage")
        return
    pytest.importorskip("obstore", reason="the extra object-storage is not installed")
    if request.param == "memory":
        from obstore.store import MemoryStore

        yield ObjectStorage(MemoryStore)
        return
    place, environment = PLACES[request.param]
    with bucket() as (endpoint, _):
        yield opened(f"{place}/below", environment(endpoint))


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


def test_a_file_of_many_parts_arrives_whole(storage: Storage, tmp_path: Path) -> None:
    content = b"".join(n.to_bytes(4, "big") for n in range(3_000_000))
    storage.put_bytes(URI, content)
    assert storage.facts(URI).size == len(content)
    storage.fetch(URI, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content


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
@pytest.mark.parametrize("kind", list(PLACES))
def test_a_store_that_is_busy_is_asked_again(kind: str) -> None:
    place, environment = PLACES[kind]
    seen: list[str] = []
    with bucket([503, 500], seen) as (endpoint, objects):
        opened(place, environment(endpoint)).put_bytes(URI, b"text")
        assert objects == {"a/b/file.txt": b"text"}
        assert [call.partition(" ")[0] for call in seen] == ["PUT"] * 3


@needs_the_extra
@pytest.mark.parametrize("kind", list(PLACES))
@pytest.mark.parametrize("status", [403, 400])
def test_a_store_that_refuses_is_told_with_its_name(kind: str, status: int) -> None:
    place, environment = PLACES[kind]
    with bucket([status] * 9) as (endpoint, _):
        storage = opened(place, environment(endpoint))
        with pytest.raises(StorageUnreachable, match=f"storage {place}: ") as told:
            storage.read_bytes(URI)
    assert str(status) in str(told.value)
    assert "\n" not in str(told.value)


@needs_the_extra
@pytest.mark.parametrize("kind", list(PLACES))
def test_a_store_that_says_nothing_is_given_up(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_storage, "REQUEST_SECONDS", "200ms")
    monkeypatch.setattr(object_storage, "RETRY_SECONDS", 1)
    place, environment = PLACES[kind]
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = f"http://127.0.0.1:{mute.getsockname()[1]}"
        storage = opened(place, environment(endpoint))
        with pytest.raises(StorageUnreachable, match=f"storage {place}: "):
            storage.exists(URI)


@needs_the_extra
@pytest.mark.parametrize("kind", list(PLACES))
def test_what_another_deletes_meanwhile_does_not_stop_a_deletion(kind: str) -> None:
    place, environment = PLACES[kind]
    with bucket() as (endpoint, objects):
        storage = opened(place, environment(endpoint))
        for name in "abcd":
            storage.put_bytes(f"kestra:///x/{name}", b"")
        listed = list(storage.walk("kestra:///x"))
        objects.pop("x/b")
        storage.walk = lambda _: iter(listed)  # type: ignore[method-assign]
        assert storage.delete("kestra:///x") is True
        assert objects == {}


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
