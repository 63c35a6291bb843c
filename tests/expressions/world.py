"""A small world for templates: fixed time, a few secrets, keys and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from penstock_runner.expressions.environment import Expressions
from penstock_runner.expressions.errors import (
    ExpressionFailed,
    KeyExpired,
    KeyMissing,
    UnknownSecret,
)

NOON = datetime(2024, 3, 5, 12, 8, 9, 123456, tzinfo=UTC)
EXPRESSIONS = Expressions()


class World:
    """Services that answer from what they were given."""

    def __init__(
        self,
        *,
        secrets: Mapping[str, str] | None = None,
        keys: Mapping[tuple[str | None, str], object] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        self.secrets = secrets or {}
        self.keys = keys or {}
        self.files = files or {}
        self.requests: list[Mapping[str, object]] = []
        self._drawn = 0

    def now(self) -> datetime:
        return NOON

    def secret(self, name: str, namespace: str | None) -> str:
        if name not in self.secrets:
            raise UnknownSecret(name)
        return self.secrets[name]

    def kv(self, key: str, namespace: str | None) -> object:
        if key == "expired":
            raise KeyExpired
        if (namespace, key) not in self.keys:
            raise KeyMissing(key, namespace)
        return self.keys[namespace, key]

    def read(self, uri: str) -> str:
        if uri not in self.files:
            raise ExpressionFailed(f"no file {uri}")
        return self.files[uri]

    def file_size(self, uri: str) -> int:
        return len(self.read(uri))

    def file_exists(self, uri: str) -> bool:
        return uri in self.files

    keeps_secrets = False

    def made_of(self, given: Sequence[object], result: object) -> None: ...

    def error_logs(self) -> list[dict[str, object]]:
        return [{"taskId": "t", "message": "broken"}]

    def http(self, request: Mapping[str, object]) -> object:
        self.requests.append(request)
        return {"ok": True}

    def random_bytes(self, count: int) -> bytes:
        self._drawn += 1
        return bytes((self._drawn * 37 + at * 11) % 256 for at in range(count))


def render(source: str, world: World | None = None, /, **variables: object) -> str | None:
    """The source as text."""
    return EXPRESSIONS.render(source, variables, world or World())


def value(expression: str, world: World | None = None, /, **variables: object) -> object:
    """The value of one expression, with its type."""
    return EXPRESSIONS.render_typed("{{ " + expression + " }}", variables, world or World())


def failure(source: str, world: World | None = None, /, **variables: object) -> str:
    """The error's text, which must be there."""
    try:
        result = EXPRESSIONS.render(source, variables, world or World())
    except ExpressionFailed as error:
        return str(error)
    raise AssertionError(f"{source} gave {result!r}")
