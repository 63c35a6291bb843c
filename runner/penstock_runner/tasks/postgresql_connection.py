"""Connects to PostgreSQL as the database tasks describe it, by JDBC addresses too.

A cancelled task cancels its statement on the server. Waiting for a connection ends after 10 seconds
unless the address says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qsl, unquote

from penstock_runner.tasks.api import Cancelled, RunContext, TaskFailed, TaskProperties

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS: Final = 10
CANCEL_SECONDS: Final = 5.0

_URL = re.compile(
    r"jdbc:postgresql:(?://(?P<hosts>[^/?]*)(?:/(?P<path>[^?]*))?|(?P<name>[^?/]*))"
    r"(?:\?(?P<query>.*))?"
)
_SAME: Final[Mapping[str, str]] = {
    "user": "user",
    "password": "password",
    "sslmode": "sslmode",
    "sslrootcert": "sslrootcert",
    "sslcert": "sslcert",
    "sslkey": "sslkey",
    "sslpassword": "sslpassword",
    "applicationname": "application_name",
    "connecttimeout": "connect_timeout",
    "logintimeout": "connect_timeout",
    "options": "options",
    "gssencmode": "gssencmode",
    "channelbinding": "channel_binding",
}
_SERVERS: Final[Mapping[str, str]] = {
    "any": "any",
    "primary": "primary",
    "master": "primary",
    "secondary": "standby",
    "slave": "standby",
    "preferprimary": "any",
    "prefersecondary": "prefer-standby",
    "preferslave": "prefer-standby",
}


class PostgresProperties(TaskProperties):
    """Where the database is, and who asks."""

    url: str
    username: str | None = None
    password: str | None = None
    ssl: bool = False
    ssl_mode: (
        Literal["DISABLE", "ALLOW", "PREFER", "REQUIRE", "VERIFY_CA", "VERIFY_FULL"] | None
    ) = None
    ssl_root_cert: str | None = None
    ssl_cert: str | None = None
    ssl_key: str | None = None
    ssl_key_password: str | None = None


def parameters_of(url: str) -> dict[str, str]:
    """The connection parameters that an address means; what means nothing here is left out."""
    found = _URL.fullmatch(url.strip())
    if found is None:
        raise TaskFailed(
            "`url` must look like jdbc:postgresql://host:5432/database, "
            f"not {url.partition('?')[0]!r}"
        )
    given: dict[str, str] = {"connect_timeout": str(CONNECT_SECONDS)}
    hosts, ports = _hosts(found["hosts"] or "localhost")
    given |= {"host": hosts, "port": ports}
    if name := unquote(found["path"] or found["name"] or ""):
        given["dbname"] = name
    for key, value in parse_qsl(found["query"] or "", keep_blank_values=True):
        given |= _parameter(key.lower(), value)
    return given


@contextmanager
def connected(
    ctx: RunContext, properties: PostgresProperties, *, autocommit: bool
) -> Iterator[psycopg.Connection[Any]]:
    """A connection that ends with the block; errors of the database are the task's."""
    import psycopg
    from psycopg.conninfo import make_conninfo

    given = _given(ctx, properties)
    try:
        connection = psycopg.connect(make_conninfo(**given), autocommit=autocommit)
    except psycopg.Error as error:
        where = f"{given['host']}:{given['port']}/{given.get('dbname', '')}"
        raise TaskFailed(f"Cannot connect to {where}: {_text(error)}") from None
    cancelled = False

    def stop() -> None:
        nonlocal cancelled
        cancelled = True
        connection.cancel_safe(timeout=CANCEL_SECONDS)

    ctx.on_cancel(stop)
    try:
        with connection:
            yield connection
    except psycopg.Error as error:
        if cancelled:
            raise Cancelled from None
        raise TaskFailed(_text(error)) from None


def _text(error: Exception) -> str:
    return str(error).strip() or type(error).__name__


def _hosts(text: str) -> tuple[str, str]:
    hosts: list[str] = []
    ports: list[str] = []
    for part in text.split(","):
        host, colon, port = part.rpartition(":")
        if not colon or port.endswith("]"):
            host, port = part, "5432"
        hosts.append(unquote(host).strip("[]") or "localhost")
        ports.append(port or "5432")
    return ",".join(hosts), ",".join(ports)


def _parameter(key: str, value: str) -> dict[str, str]:
    if key in _SAME:
        return {_SAME[key]: value}
    match key:
        case "ssl" if value.lower() in {"", "true"}:
            return {"sslmode": "verify-full"}
        case "currentschema":
            schemas = value.replace("\\", "\\\\").replace(" ", "\\ ")
            return {"options": f"-c search_path={schemas}"}
        case "targetservertype":
            return {"target_session_attrs": _SERVERS.get(value.lower(), "any")}
        case _:
            return {}


def _given(ctx: RunContext, properties: PostgresProperties) -> dict[str, str]:
    given = parameters_of(properties.url)
    if properties.username is not None:
        given["user"] = properties.username
    if properties.password is not None:
        given["password"] = properties.password
    mode = properties.ssl_mode
    if mode is not None:
        given["sslmode"] = mode.lower().replace("_", "-")
    elif properties.ssl:
        given.setdefault("sslmode", "require")
    files = {
        "sslrootcert": properties.ssl_root_cert,
        "sslcert": properties.ssl_cert,
        "sslkey": properties.ssl_key,
    }
    for name, content in files.items():
        if content is not None:
            given[name] = _as_file(ctx, name, content)
    if properties.ssl_key_password is not None:
        given["sslpassword"] = properties.ssl_key_password
    return given


def _as_file(ctx: RunContext, name: str, content: str) -> str:
    """The path of a file with a certificate or key that was given as text."""
    path = ctx.workspace / f".{name}.pem"
    path.touch(mode=0o600)
    path.write_text(content)
    return str(path)
