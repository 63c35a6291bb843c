"""The HTTP tasks, against a real server on the loopback."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.tasks.context import Context, run

from penstock_runner.tasks.api import Cancelled, TaskFailed
from penstock_runner.tasks.http_client import undefined_character


class Site(BaseHTTPRequestHandler):
    """Answers by path, and remembers what was asked."""

    asked: ClassVar[list[tuple[str, str, dict[str, str], bytes]]] = []

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.asked.append((self.command, self.path, headers, body))
        getattr(self, "on_" + self.path.partition("?")[0].strip("/").replace("-", "_"))()

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

    def send(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def on_hello(self) -> None:
        self.send(200, b'{ "hello": "world" }', Content_Type="application/json", X_Two="a")

    def on_teapot(self) -> None:
        self.send(417, b'{"why": "tea"}')

    def on_broken(self) -> None:
        self.send(500)

    def on_empty(self) -> None:
        self.send(204)

    def on_moved(self) -> None:
        self.send(302, Location="/hello")

    def on_latin(self) -> None:
        self.send(200, "é".encode("latin-1"), Content_Type="text/plain; charset=iso-8859-1")

    def on_odd(self) -> None:
        self.send(200, chr(0x0378).encode())

    def on_big(self) -> None:
        self.send(200, b"x" * 5000)

    def on_zipped(self) -> None:
        self.send(200, gzip.compress(b"y" * 5000), Content_Encoding="gzip")

    def on_short(self) -> None:
        self.send(200, b"abc", Content_Length="10")

    def on_named(self) -> None:
        self.send(200, b"abc", Content_Disposition='attachment; filename="../a file.jpg"')

    def on_table(self) -> None:
        self.send(200, b"abc")

    def on_silent(self) -> None:
        self.server.gate.wait(30)  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.gate = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.gate.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    Site.asked.clear()
    return Context(tmp_path, inputs={"name": "Ada"})


def test_a_request_gives_code_headers_and_body(ctx: Context, server: str) -> None:
    outputs = run(ctx, "http.Request", uri=f"{server}/hello", params={"q": "{{ inputs.name }}"})
    assert (outputs["code"], outputs["body"]) == (200, '{ "hello": "world" }')
    assert outputs["headers"]["x-two"] == ["a"]
    assert outputs["uri"] == f"{server}/hello?q=Ada"
    assert outputs["encryptedBody"] is None
    assert ctx.metrics["response.length"] == 20


def test_a_bad_status_fails_with_its_words_unless_allowed(ctx: Context, server: str) -> None:
    with pytest.raises(TaskFailed, match=r"500 Internal Server Error"):
        run(ctx, "http.Request", uri=f"{server}/broken")
    with pytest.raises(TaskFailed, match=r'417 Expectation Failed: \{"why": "tea"\}'):
        run(ctx, "http.Request", uri=f"{server}/teapot")
    allowed = run(ctx, "http.Request", uri=f"{server}/teapot", allowFailed=True)
    assert (allowed["code"], allowed["body"]) == (417, '{"why": "tea"}')
    options = {"allowedResponseCodes": [417]}
    assert run(ctx, "http.Request", uri=f"{server}/teapot", options=options)["code"] == 417
    with pytest.raises(TaskFailed, match="200 OK"):
        run(ctx, "http.Request", uri=f"{server}/hello", options=options)


def test_a_json_body_is_sent_as_such(ctx: Context, server: str) -> None:
    run(ctx, "http.Request", uri=f"{server}/hello", method="POST", body={"a": "{{ inputs.name }}"})
    method, _, headers, body = Site.asked[-1]
    assert (method, body) == ("POST", b'{"a": "Ada"}')
    assert headers["content-type"] == "application/json"
    run(ctx, "http.Request", uri=f"{server}/hello", method="PUT", body="é", contentType="text/x")
    assert Site.asked[-1][2]["content-type"] == "text/x"
    assert Site.asked[-1][3] == "é".encode()


def test_a_form_is_url_encoded(ctx: Context, server: str) -> None:
    form = {"hello": "wörld & co", "n": 1}
    run(ctx, "http.Request", uri=f"{server}/hello", method="POST", formData=form,
        contentType="application/x-www-form-urlencoded", headers={"test": "{{ inputs.name }}"},
    )  # fmt: skip
    _, _, headers, body = Site.asked[-1]
    assert body == b"hello=w%C3%B6rld+%26+co&n=1"
    assert (headers["test"], headers["content-type"]) == (
        "Ada",
        "application/x-www-form-urlencoded",
    )


def test_a_multipart_form_holds_texts_and_stored_files(ctx: Context, server: str) -> None:
    ctx.storage.put_bytes("kestra:///x/data.txt", b"some text")
    form = {
        "hello": "world",
        "file": "kestra:///x/data.txt",
        "named": {"name": "other.csv", "content": "kestra:///x/data.txt"},
        "json": {"a": 1},
    }
    run(ctx, "http.Request", uri=f"{server}/hello", method="POST", formData=form,
        contentType="multipart/form-data")  # fmt: skip
    _, _, headers, body = Site.asked[-1]
    assert headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="hello"\r\n\r\nworld' in body
    assert b'name="file"; filename="data.txt"' in body
    assert b'name="named"; filename="other.csv"' in body
    assert b'name="json"\r\n\r\n{"a": 1}' in body
    assert body.count(b"some text") == 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"auth": {"type": "BASIC", "username": "u", "password": "p"}}, "Basic dTpw"),
        ({"basicAuthUser": "u", "basicAuthPassword": "p"}, "Basic dTpw"),
        ({"auth": {"type": "BEARER", "token": "t"}}, "Bearer t"),
    ],
)
def test_who_asks_is_told(ctx: Context, server: str, options: object, expected: str) -> None:
    run(ctx, "http.Request", uri=f"{server}/hello", options=options)
    assert Site.asked[-1][2]["authorization"] == expected


def test_redirects_are_followed_unless_not_wanted(ctx: Context, server: str) -> None:
    assert run(ctx, "http.Request", uri=f"{server}/moved")["code"] == 200
    options = {"followRedirects": False}
    assert run(ctx, "http.Request", uri=f"{server}/moved", options=options)["code"] == 302


def test_a_body_is_read_in_its_charset(ctx: Context, server: str) -> None:
    assert run(ctx, "http.Request", uri=f"{server}/latin")["body"] == "é"


def test_undefined_characters_are_refused(ctx: Context, server: str) -> None:
    with pytest.raises(TaskFailed, match="Illegal unicode code point in request body: 888"):
        run(ctx, "http.Request", uri=f"{server}/odd")
    assert undefined_character("plain é 日本 😀") is None


def test_a_body_above_the_limit_is_refused(ctx: Context, server: str) -> None:
    options = {"maxContentLength": 100}
    for path in ("big", "zipped"):
        with pytest.raises(TaskFailed, match="larger than 100 bytes"):
            run(ctx, "http.Request", uri=f"{server}/{path}", options=options)
        with pytest.raises(TaskFailed, match="larger than 100 bytes"):
            run(ctx, "http.Download", uri=f"{server}/{path}", options=options)
    assert list(ctx.storage.walk("kestra:///")) == []


def test_a_silent_server_is_given_up(ctx: Context, server: str) -> None:
    options = {"timeout": {"readIdleTimeout": "PT0.05S"}}
    with pytest.raises(TaskFailed, match="no answer in time"):
        run(ctx, "http.Request", uri=f"{server}/silent", options=options)


def test_a_cancel_ends_the_wait_for_a_silent_server(ctx: Context, server: str) -> None:
    ended: list[BaseException] = []

    def ask() -> None:
        try:
            run(ctx, "http.Request", uri=f"{server}/silent")
        except (Cancelled, TaskFailed) as error:
            ended.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    waiting = threading.Event()
    for _ in range(1000):
        if Site.asked:
            break
        waiting.wait(0.01)
    else:
        pytest.fail("the request never reached the server")
    ctx.stops[0]()
    thread.join(20)
    assert [type(error) for error in ended] == [Cancelled]


def test_an_encrypted_body_is_not_shown(ctx: Context, server: str) -> None:
    ctx.answers["encryption.encrypt"] = "secret"
    outputs = run(ctx, "http.Request", uri=f"{server}/hello", encryptBody=True)
    assert outputs["body"] is None
    assert outputs["encryptedBody"] == {
        "type": "io.kestra.datatype:aes_encrypted",
        "value": "secret",
    }
    ctx.answers["encryption.encrypt"] = None
    plain = run(ctx, "http.Request", uri=f"{server}/hello", encryptBody=True)
    assert plain["body"] == '{ "hello": "world" }'
    assert ctx.lines[-1][0] == "WARN"


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1/", "nothing", "ftp://a/b", "http://[::1"])
def test_an_address_that_does_not_answer_is_named(ctx: Context, uri: str) -> None:
    with pytest.raises(TaskFailed):
        run(ctx, "http.Request", uri=uri)


def test_a_download_is_stored(ctx: Context, server: str) -> None:
    outputs = run(ctx, "http.Download", uri=f"{server}/zipped?x=/y.csv")
    assert (outputs["code"], outputs["length"]) == (200, 5000)
    assert ctx.storage.read_bytes(outputs["uri"]) == b"y" * 5000
    prefix = "kestra:///company/team/my-flow/executions/x1/tasks/task/run1/"
    assert outputs["uri"].startswith(prefix)


def test_the_name_of_a_download_comes_from_the_server_or_its_address(
    ctx: Context, server: str
) -> None:
    named = run(ctx, "http.Download", uri=f"{server}/named")
    assert named["uri"].endswith("/a file.jpg")
    assert run(ctx, "http.Download", uri=f"{server}/table", saveAs="x.csv")["uri"].endswith("x.csv")


def test_a_cut_download_is_not_kept(ctx: Context, server: str) -> None:
    with pytest.raises(TaskFailed):
        run(ctx, "http.Download", uri=f"{server}/short", options={"readTimeout": "PT0.2S"})
    assert list(ctx.storage.walk("kestra:///")) == []


def test_an_empty_download_fails_unless_allowed(ctx: Context, server: str) -> None:
    with pytest.raises(TaskFailed, match="No response from server"):
        run(ctx, "http.Download", uri=f"{server}/empty")
    outputs = run(ctx, "http.Download", uri=f"{server}/empty", failOnEmptyResponse=False)
    assert outputs["length"] == 0
    assert ctx.lines[-1] == ("WARN", "File 'download' is empty")


def test_a_failed_download_says_why(ctx: Context, server: str) -> None:
    with pytest.raises(TaskFailed, match="Internal Server Error"):
        run(ctx, "http.Download", uri=f"{server}/broken")


def test_a_trigger_finds_an_answer_that_fits(ctx: Context, server: str) -> None:
    where = {"uri": f"{server}/hello?q={{{{ inputs.name }}}}"}
    found = run(ctx, "http.Trigger", **where)["found"]
    assert found["uri"] == f"{server}/hello?q=Ada"
    assert (found["code"], found["body"]) == (200, '{ "hello": "world" }')
    assert set(found) == {"uri", "code", "headers", "body"}


def test_a_trigger_takes_any_status_that_its_condition_takes(ctx: Context, server: str) -> None:
    asked = {"uri": f"{server}/teapot"}
    assert run(ctx, "http.Trigger", **asked) == {"found": None}
    any_answer = {"responseCondition": "{{ response.statusCode }}"}
    assert run(ctx, "http.Trigger", **asked, **any_answer)["found"]["code"] == 417
    for condition in ("false", " ", "{{ nothing }}"):
        ctx.variables["nothing"] = None
        given = {**asked, "responseCondition": condition}
        assert run(ctx, "http.Trigger", **given) == {"found": None}


def test_the_condition_of_a_trigger_sees_the_body_before_it_is_encrypted(
    ctx: Context, server: str
) -> None:
    ctx.answers["encryption.encrypt"] = "c1ph3r"
    given = {"encryptBody": True, "responseCondition": "{{ response.body }}"}
    found = run(ctx, "http.Trigger", uri=f"{server}/hello", **given)["found"]
    assert found["body"] is None
    assert found["encryptedBody"]["value"] == "c1ph3r"
