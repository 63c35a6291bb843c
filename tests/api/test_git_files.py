"""The API over files of a namespace that a Git source keeps, beside those of people."""

from __future__ import annotations

import io
import zipfile

import pytest
from tests.api.building import NOON, Web

from penstock_runner.tasks.namespace_files import content_address
from penstock_server.store import namespace_files as stored

FILES = "/api/v1/namespaces/team/files"


def keep(web: Web, path: str, content: bytes, owner: str | None = "main") -> None:
    """A file as an apply leaves it."""
    sha256 = f"{hash(content) & 0xFFFF:064x}"
    web.storage.put_bytes(content_address(sha256), content)
    row = stored.NamespaceFile(
        namespace="team",
        path=path,
        sha256=sha256,
        size=len(content),
        modified=NOON,
        managed_by=owner,
    )
    with web.database.begin() as tx:
        stored.put(tx.connection, [row])


def post(web: Web, path: str, content: bytes) -> int:
    data = {"fileContent": (io.BytesIO(content), path.rpartition("/")[2])}
    return web.client.post(FILES, query_string={"path": path}, data=data).status_code


@pytest.fixture
def kept(web: Web) -> Web:
    keep(web, "/lib/x.py", b"x = 1")
    assert post(web, "/lib/mine.py", b"mine") == 200
    return web


def test_both_kinds_are_listed_read_searched_and_exported(kept: Web) -> None:
    names = [one["fileName"] for one in kept.client.get(f"{FILES}/directory?path=/lib").json]
    assert names == ["mine.py", "x.py"]
    assert kept.client.get(f"{FILES}?path=/lib/x.py").data == b"x = 1"
    assert kept.client.get(f"{FILES}/search?q=.py").json == ["/lib/mine.py", "/lib/x.py"]
    stats = kept.client.get(f"{FILES}/stats?path=/lib/x.py").json
    assert (stats["size"], stats["lastModifiedTime"]) == (5, int(NOON.timestamp() * 1000))
    assert kept.client.get(f"{FILES}/stats?path=/lib").json["type"] == "Directory"
    with zipfile.ZipFile(io.BytesIO(kept.client.get(f"{FILES}/export").data)) as packed:
        assert {name: packed.read(name) for name in packed.namelist()} == {
            "lib/mine.py": b"mine",
            "lib/x.py": b"x = 1",
        }


def test_what_a_source_keeps_is_changed_in_git_only(kept: Web) -> None:
    assert post(kept, "/lib/x.py", b"other") == 409
    for answer in (
        kept.client.delete(f"{FILES}?path=/lib/x.py"),
        kept.client.delete(f"{FILES}?path=/lib"),
        kept.client.put(f"{FILES}?from=/lib/x.py&to=/y.py"),
        kept.client.put(f"{FILES}?from=/lib&to=/new"),
        kept.client.put(f"{FILES}?from=/lib/mine.py&to=/lib/x.py"),
    ):
        assert answer.status_code == 409, answer.text
        assert "kept by Git source 'main': change it there" in answer.text
    assert kept.client.get(f"{FILES}/search?q=.py").json == ["/lib/mine.py", "/lib/x.py"]
    assert kept.client.delete(f"{FILES}?path=/lib/mine.py").status_code == 200


def test_an_archive_with_one_such_file_writes_nothing(kept: Web) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("first.txt", "1")
        archive.writestr("lib/x.py", "2")
    assert post(kept, "/all.zip", packed.getvalue()) == 409
    assert kept.client.get(f"{FILES}/search?q=first").json == []


def test_a_file_that_nobody_keeps_is_replaced(web: Web) -> None:
    keep(web, "/x", b"from a task", owner=None)
    assert post(web, "/x", b"mine") == 200
    assert web.client.get(f"{FILES}?path=/x").data == b"mine"
    keep(web, "/y", b"from a task", owner=None)
    assert web.client.delete(f"{FILES}?path=/y").status_code == 200
    assert web.client.get(f"{FILES}?path=/y").status_code == 404
