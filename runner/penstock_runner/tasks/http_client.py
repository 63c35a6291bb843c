"""Sends the requests of HTTP tasks.

The client lives as long as one request, so nothing of one flow is seen by another. Every wait ends:
the one for a connection after `CONNECT_SECONDS`, the one for bytes after `READ_SECONDS`.
"""

from __future__ import annotations

import json
import socket
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from penstock_runner.tasks.api import Cancelled, RunContext, TaskFailed
from penstock_runner.tasks.http_options import HttpOptions, HttpProperties, ProxyOptions
from penstock_runner.tasks.stored import opened

if TYPE_CHECKING:
    import httpx2

CONNECT_SECONDS = 10.0
READ_SECONDS = 300.0
MAX_BODY = 10 << 20
SHOWN = 500
MULTIPART = "multipart/form-data"
FORM = "application/x-www-form-urlencoded"


@contextmanager
def sent(ctx: RunContext, properties: HttpProperties) -> Iterator[httpx2.Response]:
    """The response to a request, its body not yet read; failures are the task's."""
    import httpx2

    wire = _Wire()
    ctx.on_cancel(wire.cut)
    with ExitStack() as stack:
        client = stack.enter_context(_client(properties))
        try:
            request = _request(ctx, client, properties, stack)
            request.extensions["trace"] = wire.trace
            response = client.send(request, stream=True)
            stack.callback(response.close)
            yield response
        except httpx2.InvalidURL as error:
            raise TaskFailed(f"`uri` is no address: {error}") from None
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            if wire.was_cut:
                raise Cancelled from None
            raise TaskFailed(_failure(properties, error)) from None


class _Wire:
    """The connections of one request, so that a cancel can end a wait for the other side."""

    def __init__(self) -> None:
        self.was_cut = False
        self._streams: list[Any] = []

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Told by the client of all it does; new connections are remembered."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._streams.append(info["return_value"])
            if self.was_cut:
                self.cut()

    def cut(self) -> None:
        """Shut the connections down: whoever waits for them is woken."""
        self.was_cut = True
        for stream in self._streams:
            with suppress(OSError):
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def check_status(
    properties: HttpProperties, response: httpx2.Response, *, allow_failed: bool
) -> None:
    """Fail on a status of 400 or above, unless that was allowed."""
    code = response.status_code
    allowed = properties.options.allowed_response_codes
    if allowed is not None and code in allowed:
        return
    if (code < 400 and allowed is None) or allow_failed or properties.options.allow_failed:
        return
    text = text_of(response, limit=SHOWN * 4, cut=True)
    said = f": {text[:SHOWN]}" if text.strip() else ""
    raise TaskFailed(
        f"{properties.method} {properties.uri} was answered with {code} {phrase(response)}{said}"
    )


def text_of(response: httpx2.Response, *, limit: int, cut: bool = False) -> str:
    """The body as text; one above the limit is cut or refused."""
    content = bytearray()
    for chunk in response.iter_bytes(1 << 16):
        content += chunk
        if len(content) > limit:
            if cut:
                break
            raise TaskFailed(
                f"The response is larger than {limit} bytes: raise `options.maxContentLength`, "
                "or use a Download task"
            )
    encoding = response.encoding or "utf-8"
    try:
        return bytes(content).decode(encoding, "replace")
    except LookupError:
        return bytes(content).decode("utf-8", "replace")


def undefined_character(text: str) -> int | None:
    """The first code point of a text that Unicode does not define."""
    if text.isascii():
        return None
    odd = {c for c in set(text) if unicodedata.category(c) == "Cn"}
    return next((ord(c) for c in text if c in odd), None) if odd else None


def headers_of(response: httpx2.Response) -> dict[str, list[str]]:
    """The headers as a map of lists."""
    found: dict[str, list[str]] = {}
    for name, value in response.headers.multi_items():
        found.setdefault(name, []).append(value)
    return found


def phrase(response: httpx2.Response) -> str:
    """The words for a status."""
    try:
        return response.reason_phrase or HTTPStatus(response.status_code).phrase
    except ValueError:
        return ""


def _client(properties: HttpProperties) -> httpx2.Client:
    import httpx2

    options = properties.options
    ssl = properties.ssl_options or options.ssl
    return httpx2.Client(
        verify=not (ssl is not None and ssl.insecure_trust_all_certificates),
        timeout=_timeouts(options),
        follow_redirects=options.follow_redirects,
        proxy=_proxy(options.way),
        auth=_basic(options),
        headers=_bearer(options),
        default_encoding=options.default_charset,
    )


def _timeouts(options: HttpOptions) -> httpx2.Timeout:
    import httpx2

    new = options.timeout
    connect = (new.connect_timeout if new else None) or options.connect_timeout
    idle = (new.read_idle_timeout if new else None) or options.read_idle_timeout
    read = options.read_timeout or idle
    seconds = READ_SECONDS if read is None else read.total_seconds()
    return httpx2.Timeout(
        seconds, connect=CONNECT_SECONDS if connect is None else connect.total_seconds()
    )


def _proxy(way: ProxyOptions) -> httpx2.Proxy | None:
    import httpx2

    if way.type == "DIRECT" or way.address is None:
        return None
    if way.type == "SOCKS":
        raise TaskFailed("SOCKS proxies are not supported: use a proxy of type HTTP")
    port = f":{way.port}" if way.port else ""
    login = (way.username, way.password or "") if way.username else None
    return httpx2.Proxy(f"http://{way.address}{port}", auth=login)


def _basic(options: HttpOptions) -> tuple[str, str] | None:
    login = options.login
    if login is None or login.type != "BASIC":
        return None
    return login.username or "", login.password or ""


def _bearer(options: HttpOptions) -> dict[str, str]:
    login = options.login
    if login is None or login.type != "BEARER":
        return {}
    return {"Authorization": f"Bearer {login.token or ''}"}


def _request(
    ctx: RunContext, client: httpx2.Client, properties: HttpProperties, stack: ExitStack
) -> httpx2.Request:
    headers = dict(properties.headers or {})
    given: dict[str, Any] = {}
    kind = (properties.content_type or "").partition(";")[0].strip().lower()
    if properties.form_data is not None and kind == MULTIPART:
        given["files"] = [
            (name, _part(ctx, value, stack)) for name, value in properties.form_data.items()
        ]
    elif properties.form_data is not None:
        given["data"] = {name: _text(value) for name, value in properties.form_data.items()}
        headers.setdefault("Content-Type", properties.content_type or FORM)
    elif properties.body is not None:
        given["content"] = properties.body.encode()
        if not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = properties.content_type or _guessed(properties.body)
    elif properties.content_type is not None:
        headers.setdefault("Content-Type", properties.content_type)
    if properties.params:
        given["params"] = dict(properties.params)
    return client.build_request(properties.method.upper(), properties.uri, headers=headers, **given)


def _part(ctx: RunContext, value: object, stack: ExitStack) -> tuple[str | None, Any]:
    """One part of a form: a stored file, a named stored file, or text."""
    if isinstance(value, str) and value.startswith("kestra://"):
        return PurePosixPath(value).name, stack.enter_context(opened(ctx, value))
    if isinstance(value, Mapping) and {"name", "content"} <= value.keys():
        content = str(value["content"])
        if content.startswith("kestra://"):
            return str(value["name"]), stack.enter_context(opened(ctx, content))
        return str(value["name"]), content.encode()
    return None, _text(value).encode()


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _guessed(body: str) -> str:
    return "application/json" if body.lstrip()[:1] in {"{", "["} else "text/plain; charset=utf-8"


def _failure(properties: HttpProperties, error: Exception) -> str:
    import httpx2

    where = f"{properties.method} {properties.uri}"
    match error:
        case httpx2.ConnectTimeout():
            return f"{where}: no connection in time (`options.timeout.connectTimeout`)"
        case httpx2.TimeoutException():
            return f"{where}: no answer in time (`options.timeout.readIdleTimeout`)"
        case httpx2.TooManyRedirects():
            return f"{where}: too many redirects"
        case _:
            return f"{where}: {str(error) or type(error).__name__}"
