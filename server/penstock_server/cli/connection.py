"""Calls of a running service, for the verbs that need one.

What goes wrong becomes a sentence with the way out and the exit code of its kind: nobody answers,
nobody may, or the service says no. A call that met nobody is tried three times.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
import httpx2

from penstock_server.cli.exits import FAILED, REFUSED, UNAUTHORISED, UNREACHABLE, USAGE, Stop

DEFAULT_SERVER = "http://127.0.0.1:8080"
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
PAUSES = (1.0, 4.0)
PASSING = frozenset({429, 502, 503, 504})

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the service is, and who asks. What proves it is never shown."""

    server: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


class Connection:
    """Calls of one service."""

    def __init__(self, address: Address) -> None:
        self.server = checked_url(address.server)
        headers = {"User-Agent": "penstock", "Accept": "application/json"}
        auth: tuple[str, str] | None = None
        if address.token:
            headers["Authorization"] = f"Bearer {address.token}"
        elif address.user:
            auth = (address.user, address.password or "")
        self._client = httpx2.Client(
            base_url=self.server,
            headers=headers,
            auth=auth,
            timeout=httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        )

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON of a GET."""
        return self.asked("GET", path, params=params).json()

    def asked(
        self,
        method: str,
        path: str,
        *,
        accepted: frozenset[int] = frozenset(),
        tries: int = 3,
        **more: Any,
    ) -> httpx2.Response:
        """The answer to a call; one that is an error ends the verb unless it is in `accepted`."""
        answer = self._tried(method, path, tries, more)
        if answer.is_success or answer.status_code in accepted:
            return answer
        raise self.told(answer)

    def stream(
        self, path: str, headers: Mapping[str, str], seconds: float
    ) -> AbstractContextManager[httpx2.Response]:
        """A response that goes on; silence for so many seconds ends it."""
        timeout = httpx2.Timeout(seconds, connect=CONNECT_SECONDS)
        return self._client.stream("GET", path, headers=dict(headers), timeout=timeout)

    def told(self, answer: httpx2.Response) -> Stop:
        """What an answer that is an error means for the person who asked."""
        said = message_of(answer)
        match answer.status_code:
            case 401:
                way = "set PENSTOCK_USER and PENSTOCK_PASSWORD, or PENSTOCK_TOKEN"
                return Stop(f"{self.server} does not know you: {way}", UNAUTHORISED)
            case 403:
                return Stop(f"{self.server} does not allow this: {said}", UNAUTHORISED)
            case 409 | 423:
                return Stop(f"{self.server} refuses: {said}", REFUSED)
            case status if status in PASSING:
                return Stop(f"{self.server} cannot serve now ({status}): {said}", UNREACHABLE)
            case status if 300 <= status < 400:
                where = answer.headers.get("Location", "elsewhere")
                return Stop(f"{self.server} points to {where}: give that as --server", USAGE)
            case status:
                return Stop(f"{self.server} answers {status}: {said}", FAILED)

    def unreachable(self, error: Exception) -> Stop:
        """Nobody answers there."""
        why = str(error) or type(error).__name__
        return Stop(
            f"{self.server} cannot be reached ({why}): is the service running there? "
            "--server or PENSTOCK_SERVER names another",
            UNREACHABLE,
        )

    def _tried(
        self, method: str, path: str, tries: int, more: Mapping[str, Any]
    ) -> httpx2.Response:
        pauses = [*PAUSES[: tries - 1], None]
        for pause in pauses:
            try:
                answer = self._client.request(method, path, **more)
            except httpx2.ConnectError as error:
                if pause is None or _is_here(self.server):
                    raise self.unreachable(error) from None
            except httpx2.HTTPError as error:
                raise self.unreachable(error) from None
            else:
                if pause is None or answer.status_code not in PASSING:
                    return answer
            threading.Event().wait(pause)
        raise AssertionError("the last try returns or raises")


def connection_options(function: Function) -> Function:
    """The options that say which service, and who asks."""
    options = [
        click.option(
            "--server",
            envvar="PENSTOCK_SERVER",
            default=DEFAULT_SERVER,
            show_default=True,
            metavar="URL",
            help="The service (PENSTOCK_SERVER).",
        ),
        click.option(
            "--user",
            envvar="PENSTOCK_USER",
            metavar="NAME",
            help="User (PENSTOCK_USER); the password only from PENSTOCK_PASSWORD.",
        ),
        click.option(
            "--token",
            envvar="PENSTOCK_TOKEN",
            metavar="TOKEN",
            help="Token, best given as PENSTOCK_TOKEN: others see the arguments of a command.",
        ),
        click.option(
            "--token-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="File that holds the token.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def connected(
    server: str, user: str | None, token: str | None, token_file: Path | None
) -> Connection:
    """The service that the options name."""
    if token_file is not None:
        try:
            token = token_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Stop(f"the token file {token_file} cannot be read: {error}", USAGE) from None
    password = os.environ.get("PENSTOCK_PASSWORD")  # noqa: TID251 - argv is no place for it
    if user is not None and ":" in user:
        # As older tools take it.
        user, _, password = user.partition(":")
    return Connection(Address(server=server, user=user, token=token, password=password))


def checked_url(server: str) -> str:
    """The address without what does not belong into it."""
    try:
        parts = urlsplit(server)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise _no_address(server) from None
    if not usable:
        raise _no_address(server)
    if parts.username is not None:
        raise Stop(
            "a password does not belong into --server: set PENSTOCK_USER and PENSTOCK_PASSWORD",
            USAGE,
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _no_address(server: str) -> Stop:
    return Stop(f"{server!r} is no address: give --server as http://host:port", USAGE)


def message_of(answer: httpx2.Response) -> str:
    """What a service says of an error, in one line."""
    try:
        body = answer.json()
    except ValueError:
        return answer.reason_phrase or "no reason given"
    said = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(said or answer.reason_phrase).split())


def _is_here(server: str) -> bool:
    """Whether the service would be on this machine: then it does not help to wait."""
    return urlsplit(server).hostname in {"127.0.0.1", "localhost", "::1"}
