"""Tasks that ask over HTTP: for a text, or for a file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from email.message import Message
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, BinaryIO, cast
from urllib.parse import quote, unquote, urlsplit

from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import Outputs, Raw, RunContext, TaskFailed, task
from penstock_runner.tasks.http_client import (
    MAX_BODY,
    check_status,
    headers_of,
    sent,
    text_of,
    undefined_character,
)
from penstock_runner.tasks.http_options import HttpProperties
from penstock_runner.tasks.polling import PollingTrigger
from penstock_runner.tasks.stored import extension, place

if TYPE_CHECKING:
    import httpx2


@task("io.kestra.plugin.core.http.Request")
class Request(HttpProperties):
    """Send a request; its outputs are `code`, `headers` and `body` of the answer."""

    allow_failed: bool = False
    encrypt_body: bool = False

    def run(self, ctx: RunContext) -> Outputs:
        """Send the request and read the answer."""
        allow, encrypt = self.allow_failed, self.encrypt_body
        return answered(ctx, self, allow_failed=allow, encrypt=encrypt)


@task("io.kestra.plugin.core.http.Trigger", kind="polling")
class Trigger(HttpProperties, PollingTrigger):
    """Ask over HTTP at an interval, and start an execution when the answer fits."""

    response_condition: Annotated[str, Raw()] = "{{ response.statusCode < 400 }}"
    encrypt_body: bool = False

    def evaluate(self, ctx: RunContext) -> Outputs | None:
        """Send the request; any answer is one, the condition says what to think of it."""
        found = answered(ctx, self, allow_failed=True, encrypt=False)
        response = {
            "statusCode": found["code"],
            "body": found["body"],
            "headers": found["headers"],
        }
        fits = ctx.render(self.response_condition, {"response": response})
        if str(fits or "").strip() in ("", "false"):
            return None
        if not self.encrypt_body:
            return {name: found[name] for name in ("uri", "code", "headers", "body")}
        body, encrypted = _protected(ctx, cast("str | None", found["body"]))
        return {**found, "body": body, "encryptedBody": encrypted}


def answered(
    ctx: RunContext, properties: HttpProperties, *, allow_failed: bool, encrypt: bool
) -> dict[str, object]:
    """Send a request and read the answer."""
    with sent(ctx, properties) as response:
        check_status(properties, response, allow_failed=allow_failed)
        body = text_of(response, limit=properties.options.max_content_length or MAX_BODY)
        ctx.metric("response.length", "counter", response.num_bytes_downloaded)
        plain, encrypted = _defined(body) or None, None
        if encrypt:
            plain, encrypted = _protected(ctx, plain)
        return {
            "uri": str(response.url),
            "code": response.status_code,
            "headers": headers_of(response),
            "body": plain,
            "encryptedBody": encrypted,
        }


def _protected(ctx: RunContext, body: str | None) -> tuple[str | None, dict[str, object] | None]:
    if body is None:
        return None, None
    encrypted = ctx.call("encryption.encrypt", text=body)
    if encrypted is None:
        ctx.log(Level.WARN, "Unable to encrypt the output as encryption is not configured")
        return body, None
    return None, {"type": "io.kestra.datatype:aes_encrypted", "value": encrypted}


@task("io.kestra.plugin.core.http.Download")
class Download(HttpProperties):
    """Store what an address gives; its output `uri` is the address in the internal storage."""

    fail_on_empty_response: bool = True
    allow_failed: bool = False
    save_as: str | None = None

    def run(self, ctx: RunContext) -> Outputs:
        """Send the request and stream the answer into the storage."""
        with sent(ctx, self) as response:
            check_status(self, response, allow_failed=self.allow_failed)
            name = self.save_as or _given_name(response) or f"download{_extension(self.uri)}"
            body = _Body(response, self.options.max_content_length)
            uri = ctx.storage.put_stream(place(ctx, _safe(name)), cast("BinaryIO", body))
            try:
                self._check(ctx, response, body.length, name)
            except TaskFailed:
                ctx.storage.delete(uri)
                raise
            ctx.metric("response.length", "counter", body.length)
            return {
                "uri": uri,
                "code": response.status_code,
                "length": body.length,
                "headers": headers_of(response),
            }

    def _check(self, ctx: RunContext, response: httpx2.Response, length: int, name: str) -> None:
        announced = response.headers.get("Content-Length", "")
        received = response.num_bytes_downloaded
        if self.method.upper() != "HEAD" and announced.isdigit() and int(announced) != received:
            raise TaskFailed(f"Invalid size, got {received}, expected {announced}")
        if length == 0:
            if self.fail_on_empty_response:
                raise TaskFailed("No response from server")
            ctx.log(Level.WARN, f"File '{name}' is empty")


class _Body(io.RawIOBase):
    """The body of a response as a stream to read from."""

    def __init__(self, response: httpx2.Response, limit: int | None) -> None:
        super().__init__()
        self._chunks: Iterator[bytes] = response.iter_bytes(1 << 18)
        self._limit = limit
        self.length = 0

    def readable(self) -> bool:
        """It is only for reading."""
        return True

    def read(self, size: int | None = -1) -> bytes:  # noqa: ARG002 - a chunk is as good
        """The next chunk, empty at the end."""
        chunk = next(self._chunks, b"")
        self.length += len(chunk)
        if self._limit is not None and self.length > self._limit:
            raise TaskFailed(
                f"The response is larger than {self._limit} bytes (`options.maxContentLength`)"
            )
        return chunk


def _defined(body: str) -> str:
    odd = undefined_character(body)
    if odd is not None:
        raise TaskFailed(
            f"Illegal unicode code point in request body: {odd}, the Request task only support "
            "valid Unicode strings as body.\nPlease try using the Download task to download your "
            "file."
        )
    return body


def _given_name(response: httpx2.Response) -> str | None:
    header = response.headers.get("Content-Disposition")
    if not header:
        return None
    message = Message()
    message["Content-Disposition"] = header
    name = message.get_filename()
    return PurePosixPath(name.replace("\\", "/")).name if name else None


def _extension(uri: str) -> str:
    return extension(unquote(urlsplit(uri).path))


def _safe(name: str) -> str:
    return quote(PurePosixPath(name).name or "download", safe=" ").replace("..", "%2E%2E")
