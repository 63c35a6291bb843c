"""The storage in a folder, its addresses, and what it refuses."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock_runner.tasks import places
from penstock_runner.tasks.storage import BadAddress, FileMissing, LocalStorage

URI = "kestra:///a/b/file.txt"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "storage")


def test_what_is_put_can_be_read(storage: LocalStorage, tmp_path: Path) -> None:
    assert storage.put_bytes(URI, b"text") == URI
    assert storage.read_bytes(URI) == b"text"
    assert storage.read_bytes(URI, limit=2) == b"te"
    storage.fetch(URI, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"text"
    facts = storage.facts(URI)
    assert (facts.uri, facts.name, facts.size, facts.directory) == (URI, "file.txt", 4, False)
    assert storage.facts("kestra:///a").directory


def test_files_and_folders_are_private(storage: LocalStorage, tmp_path: Path) -> None:
    storage.put_bytes(URI, b"text")
    root = tmp_path / "storage"
    assert stat.S_IMODE((root / "a/b/file.txt").stat().st_mode) == 0o600
    for folder in (root, root / "a", root / "a/b"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_moved_file_leaves_its_place(storage: LocalStorage, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("moved")
    storage.put_file(URI, source)
    assert source.exists()
    storage.put_file(URI, source, move=True)
    assert not source.exists()
    assert storage.read_bytes(URI) == b"moved"


def test_a_link_is_not_followed(storage: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="link"):
        storage.put_file(URI, tmp_path / "link")
    with pytest.raises(BadAddress, match="not a regular file"):
        storage.put_file(URI, tmp_path)
    assert not storage.exists(URI)


class Broken(io.BytesIO):
    """A stream that ends in an error."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError("the line went dead")


def test_a_file_appears_whole_or_not_at_all(storage: LocalStorage, tmp_path: Path) -> None:
    storage.put_bytes(URI, b"first")
    with pytest.raises(OSError, match="went dead"):
        storage.put_stream(URI, Broken())
    assert storage.read_bytes(URI) == b"first"
    assert [path.name for path in (tmp_path / "storage/a/b").iterdir()] == ["file.txt"]


def test_a_missing_file_is_missing(storage: LocalStorage) -> None:
    assert not storage.exists(URI)
    assert storage.delete(URI) is False
    assert storage.delete_below(URI) == []
    assert list(storage.walk(URI)) == []
    for read in (storage.open, storage.facts, storage.read_bytes):
        with pytest.raises(FileMissing, match=r"kestra:///a/b/file\.txt"):
            read(URI)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("kestra:///a/../../etc/passwd", "relative '..' path"),
        ("kestra:///a/x..y", "relative '..' path"),
        ("/a/b", "Invalid internal storage uri, got uri '/a/b'"),
        ("file:///etc/passwd", "Invalid internal storage scheme, got uri"),
        (None, "Invalid internal storage uri, got null"),
        ("kestra:///a\0b", "NUL"),
    ],
)
def test_a_bad_address_is_refused(storage: LocalStorage, uri: str, message: str) -> None:
    for call in (storage.exists, storage.delete, storage.open, storage.delete_below):
        with pytest.raises(BadAddress, match=message):
            call(uri)


def test_the_storage_itself_cannot_be_deleted(storage: LocalStorage) -> None:
    storage.put_bytes(URI, b"")
    with pytest.raises(BadAddress):
        storage.delete("kestra:///")
    with pytest.raises(BadAddress):
        storage.delete_below("kestra:///")
    assert storage.exists(URI)


def test_deleting_below_names_the_files_then_the_folder(storage: LocalStorage) -> None:
    for name in ("b", "a"):
        storage.put_bytes(f"kestra:///x/{name}.txt", b"")
    assert [facts.uri for facts in storage.walk("kestra:///x")] == [
        "kestra:///x/a.txt",
        "kestra:///x/b.txt",
    ]
    assert storage.delete_below("kestra:///x") == [
        "kestra:///x/a.txt",
        "kestra:///x/b.txt",
        "kestra:///x",
    ]
    assert not storage.exists("kestra:///x")


def addresses() -> Iterator[tuple[str, str]]:
    yield places.flow_prefix("io.test", "My Flow"), "kestra:///io/test/my-flow"
    execution = "kestra:///n/flowid/executions/x"
    yield places.execution_prefix("n", "flowid", "x"), execution
    yield places.task_prefix("n", "flowid", "x", "taskid", "r"), f"{execution}/tasks/taskid/r"
    yield places.input_file("n", "flowid", "x", "i", "/tmp/a.txt"), f"{execution}/inputs/i/a.txt"
    yield places.trigger_file("n", "flowid", "x", "t", "a"), f"{execution}/trigger/t/a"
    yield places.namespace_file("io.test", "./dir/a"), "kestra:///io/test/_files/dir/a"
    yield places.cache_file("n", "f", "t"), "kestra:///n/f/t/cache/cache.zip"
    hashed = "7d04fd3bbbc0946dc06caf7356fdf051"
    yield places.cache_file("n", "f", "t", "value"), f"kestra:///n/f/t/cache/{hashed}/cache.zip"
    yield places.state_key("f", "S", "name", None), "f_states_S_name"
    yield places.state_key(None, "S", None, "value"), f"states_S_{hashed}"


@pytest.mark.parametrize(("built", "expected"), list(addresses()))
def test_addresses(built: str, expected: str) -> None:
    assert built == expected


def test_a_namespace_file_is_known_by_path_or_address() -> None:
    for written in ("./sub/a.txt", "/sub/a.txt", "kestra:///io/test/_files/sub/a.txt"):
        assert places.path_in_namespace("io.test", written) == "sub/a.txt"
    for written in ("file:///io/test/_files/a", "kestra:///io/other/_files/a"):
        with pytest.raises(BadAddress, match=r"not a file of the namespace 'io\.test'"):
            places.path_in_namespace("io.test", written)


def test_the_execution_of_an_address_is_known() -> None:
    assert places.execution_of("kestra:///n/f/executions/x1/tasks/t") == "x1"
    assert places.execution_of("kestra:///n/_files/a") is None


def test_slugs_hold_letters_digits_and_hyphens() -> None:
    assert places.slug("test test ") == "test-test"
    assert places.slug("--Test\t\t\ntest9*") == "test-test9"
