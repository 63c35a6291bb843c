from __future__ import annotations

import io
import zipfile

import pytest
from tests.api.building import NOON, Web

from penstock_runner.engine.state import Execution, State

FILES = "/api/v1/namespaces/team/files"
TASK = "  - {id: t, type: io.kestra.plugin.core.log.Log, message: a}\n"
HELLO = "kestra:///team/greet/executions/x1/tasks/t/1/hello.txt"


def put(web: Web) -> None:
    web.core.put(
        Execution(
            id="x1",
            namespace="team",
            flow_id="greet",
            flow_revision=1,
            history=((State.SUCCESS, NOON),),
        )
    )
    web.storage.put_bytes(HELLO, b"one\ntwo\nthree")


def test_a_file_of_an_execution_is_given(web: Web) -> None:
    put(web)
    answer = web.client.get("/api/v1/executions/x1/file", query_string={"path": HELLO})
    assert answer.data == b"one\ntwo\nthree"
    assert "attachment" in answer.headers["Content-Disposition"]
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    metas = web.client.get("/api/v1/executions/x1/file/metas", query_string={"path": HELLO})
    assert metas.json == {"size": 13}
    shown = web.client.get(
        "/api/v1/executions/x1/file/preview", query_string={"path": HELLO, "maxRows": 2}
    )
    assert shown.json == {
        "extension": "txt",
        "type": "TEXT",
        "content": "one\ntwo",
        "truncated": True,
    }


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (HELLO.replace("x1", "x2"), 404),
        (HELLO + "x", 404),
        ("kestra:///other/greet/secret.txt", 422),
        ("kestra:///team/greet/executions/x1/../x2/f", 422),
        ("kestra:///team/greet/executions/x1/%2e%2e/f", 422),
        ("kestra:///team/greet/executions/x1", 422),
        ("file:///etc/passwd", 422),
        ("/etc/passwd", 422),
        ("", 422),
    ],
)
def test_what_is_not_of_the_execution_is_refused(web: Web, path: str, status: int) -> None:
    put(web)
    for below in ("file", "file/metas", "file/preview"):
        answer = web.client.get(f"/api/v1/executions/x1/{below}", query_string={"path": path})
        assert answer.status_code == status, answer.text


def write(web: Web, path: str, content: bytes, name: str = "f") -> int:
    return web.client.post(
        FILES, query_string={"path": path}, data={"fileContent": (io.BytesIO(content), name)}
    ).status_code


def test_namespace_files_are_written_read_listed_and_searched(web: Web) -> None:
    assert write(web, "/folder/file.txt", b"Hello") == 200
    assert write(web, "top.md", b"#") == 200
    assert web.client.get(f"{FILES}?path=/folder/file.txt").data == b"Hello"
    assert web.client.get(f"{FILES}/search?q=fold").json == ["/folder/file.txt"]
    names = [(one["fileName"], one["type"]) for one in web.client.get(f"{FILES}/directory").json]
    assert names == [("folder", "Directory"), ("top.md", "File")]
    stats = web.client.get(f"{FILES}/stats?path=/top.md").json
    assert (stats["fileName"], stats["size"]) == ("top.md", 1)
    root = web.client.get(f"{FILES}/stats").json
    assert (root["fileName"], root["type"]) == ("_files", "Directory")
    assert web.client.get(f"{FILES}?path=/missing").status_code == 404
    assert web.client.get(f"{FILES}/directory?path=/missing").status_code == 404
    assert web.client.get("/api/v1/namespaces/nobody/files/directory").json == []


def test_an_empty_folder_is_made_and_moved(web: Web) -> None:
    assert web.client.post(f"{FILES}/directory?path=/test").status_code == 200
    assert web.client.get(f"{FILES}/directory?path=/test").json == []
    assert web.client.put(f"{FILES}?from=/test&to=/foo").status_code == 200
    assert web.client.get(f"{FILES}/stats?path=/foo").json["type"] == "Directory"
    assert web.client.get(f"{FILES}/stats?path=/test").status_code == 404
    assert web.client.put(f"{FILES}?from=/foo&to=/foo/below").status_code == 422


def test_a_folder_left_empty_goes_too(web: Web) -> None:
    write(web, "/one/file.txt", b"")
    write(web, "/two/a.txt", b"")
    write(web, "/two/b.txt", b"")
    for path in ("/one/file.txt", "/two/a.txt"):
        assert web.client.delete(FILES, query_string={"path": path}).status_code == 200
    names = [one["fileName"] for one in web.client.get(f"{FILES}/directory").json]
    assert names == ["two"]
    assert web.client.delete(f"{FILES}?path=/").status_code == 422


def test_a_file_below_flows_becomes_a_flow_of_the_namespace(web: Web) -> None:
    source = "id: put\nnamespace: elsewhere\ntasks:\n" + TASK
    assert write(web, "/_flows/put.yml", source.encode()) == 200
    saved = web.client.get("/api/v1/flows/team/put?source=true").json
    assert saved["source"] == source.replace("elsewhere", "team")
    assert list(web.storage.walk("kestra:///")) == []


@pytest.mark.parametrize(
    "path", ["/_flows/x.yml", "/_flows", "_flows/x", "//_flows/x", "/./_flows"]
)
def test_the_path_of_flows_is_good_for_nothing_else(web: Web, path: str) -> None:
    given = {"path": path}
    answers = [
        web.client.get(FILES, query_string=given),
        web.client.get(f"{FILES}/stats", query_string=given),
        web.client.get(f"{FILES}/directory", query_string=given),
        web.client.delete(FILES, query_string=given),
        web.client.put(FILES, query_string={"from": "/foo", "to": path}),
    ]
    for answer in answers:
        assert answer.status_code == 422
        assert answer.json["message"].startswith("Illegal argument: Forbidden path: ")


@pytest.mark.parametrize("path", ["/../x", "/a/../../x", "/a\\b", "/a\0b", "/" + "a" * 300])
def test_a_path_that_leaves_the_files_is_refused(web: Web, path: str) -> None:
    assert web.client.get(FILES, query_string={"path": path}).status_code == 422
    assert write(web, path, b"x") == 422


def test_an_archive_is_unpacked_and_one_is_given(web: Web) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("a/b.txt", "one")
    assert write(web, "/all.zip", buffer.getvalue()) == 200
    assert web.client.get(f"{FILES}?path=/a/b.txt").data == b"one"
    exported = web.client.get(f"{FILES}/export").data
    with zipfile.ZipFile(io.BytesIO(exported)) as packed:
        assert packed.namelist() == ["a/b.txt"]
    evil = io.BytesIO()
    with zipfile.ZipFile(evil, "w") as packed:
        packed.writestr("../../x", "one")
    assert write(web, "/evil.zip", evil.getvalue()) == 422
    assert write(web, "/broken.zip", b"no archive") == 422
