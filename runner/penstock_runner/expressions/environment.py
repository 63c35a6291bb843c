"""The way in: `Expressions` compiles sources into `Template`s and renders them.

One `Expressions` a process.  Compiling is cached by source; a text without `{` is never
parsed.  The parser and all libraries behind filters load when they are first needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from penstock_runner.expressions import nested
from penstock_runner.expressions.errors import ExpressionFailed, ExpressionSyntax, position
from penstock_runner.expressions.raw import RawBlocks, take_raw
from penstock_runner.expressions.scope import Frame
from penstock_runner.flow.positions import offset_of

if TYPE_CHECKING:
    from penstock_runner.expressions.program import Program

PURE_TEXT = 64 * 1024
"""Longer texts are not rendered inside the executor's step."""
_SMALL = 8 * 1024


class Services(Protocol):
    """The outside world as functions see it; every method may raise `ExpressionFailed`."""

    @property
    def keeps_secrets(self) -> bool:
        """Whether a secret has been given out, so that it matters what is made of values."""

    def made_of(self, given: Sequence[object], result: object) -> None:
        """A filter or function made `result` of `given`."""

    def now(self) -> datetime:
        """The current instant."""

    def secret(self, name: str, namespace: str | None) -> str:
        """A secret, or `UnknownSecret`."""

    def kv(self, key: str, namespace: str | None) -> object:
        """A value of the key-value store, or `KeyMissing` or `KeyExpired`."""

    def read(self, uri: str) -> str:
        """The text behind a `kestra:///` URI."""

    def file_size(self, uri: str) -> int:
        """The length in bytes of the file behind a URI."""

    def file_exists(self, uri: str) -> bool:
        """Whether there is a file behind a URI."""

    def error_logs(self) -> list[dict[str, object]]:
        """The ERROR log lines of the execution."""

    def http(self, request: Mapping[str, object]) -> object:
        """The body of the answer to a request (`uri`, `method`, `headers`, `body`, ...)."""

    def random_bytes(self, count: int) -> bytes:
        """So many random bytes."""


class NoServices:
    """A world in which nothing answers, for validation and tests."""

    def __init__(self, now: datetime | None = None) -> None:
        self._now = now

    keeps_secrets = False

    def made_of(self, given: Sequence[object], result: object) -> None:
        """Nothing here is a secret."""

    def now(self) -> datetime:
        """The instant given, else the epoch."""
        from datetime import UTC

        return self._now or datetime(1970, 1, 1, tzinfo=UTC)

    def secret(self, name: str, namespace: str | None) -> str:  # noqa: ARG002 - the protocol
        """Refused."""
        raise _unavailable(f"secret('{name}')")

    def kv(self, key: str, namespace: str | None) -> object:  # noqa: ARG002 - the protocol
        """Refused."""
        raise _unavailable(f"kv('{key}')")

    def read(self, uri: str) -> str:
        """Refused."""
        raise _unavailable(f"read('{uri}')")

    def file_size(self, uri: str) -> int:
        """Refused."""
        raise _unavailable(f"fileSize('{uri}')")

    def file_exists(self, uri: str) -> bool:
        """Refused."""
        raise _unavailable(f"fileExists('{uri}')")

    def error_logs(self) -> list[dict[str, object]]:
        """Refused."""
        raise _unavailable("errorLogs()")

    def http(self, request: Mapping[str, object]) -> object:  # noqa: ARG002 - the protocol
        """Refused."""
        raise _unavailable("http()")

    def random_bytes(self, count: int) -> bytes:  # noqa: ARG002 - the protocol
        """Refused."""
        raise _unavailable("a random value")


def _unavailable(what: str) -> ExpressionFailed:
    return ExpressionFailed(f"{what} is not available here")


class Template:
    """One compiled source; it may be rendered any number of times, from several threads."""

    __slots__ = (
        "_expressions",
        "_program",
        "_raw",
        "filters",
        "functions",
        "pure",
        "roots",
        "source",
    )

    def __init__(self, source: str, expressions: Expressions) -> None:
        self.source = source
        self._expressions = expressions
        self._program: Program | None = None
        self._raw: RawBlocks | None = None
        self.functions: frozenset[str] = frozenset()
        self.filters: frozenset[str] = frozenset()
        self.roots: frozenset[str] = frozenset()
        self.pure = len(source) <= PURE_TEXT
        if "{" in source:
            self._compile()

    def _compile(self) -> None:
        from penstock_runner.expressions.program import Program

        raw = take_raw(self.source)
        try:
            program = Program(raw.text)
        except ExpressionSyntax as error:
            raise _in_source(error, raw, self.source) from None
        if raw.blocks:
            self._raw = raw
        self._program = program
        self.functions, self.filters = program.functions, program.filters
        self.roots = program.roots
        self.pure = self.pure and program.pure and not self._expressions.recursive

    @property
    def has_raw(self) -> bool:
        """Whether the source has blocks that are not to be rendered."""
        return self._raw is not None

    def render(
        self, variables: Mapping[str, object], services: Services, *, inline: bool = False
    ) -> str | None:
        """The template as text; `inline` refuses what may not run in the executor's step."""
        if self._program is None:
            return self.source
        frame = Frame(variables, services, self._expressions, inline=inline)
        text = self._program.text(frame)
        if self._expressions.recursive:
            text = nested.again(text, frame)
        return self.with_raw(text)

    def render_typed(
        self, variables: Mapping[str, object], services: Services, *, inline: bool = False
    ) -> object:
        """The value of a single print with its type; text when there is more."""
        if self._program is None:
            return self.source or None
        frame = Frame(variables, services, self._expressions, inline=inline)
        value = self._program.typed(frame)
        if not isinstance(value, str):
            return value
        if self._expressions.recursive:
            value = nested.again(value, frame)
        return self.with_raw(value)

    def marked(self, frame: Frame) -> str:
        """One pass over the template, with marks where its raw blocks will be put back."""
        return self.source if self._program is None else self._program.text(frame)

    def with_raw(self, text: str) -> str:
        """The text with the raw blocks of this template put back."""
        return text if self._raw is None else self._raw.back(text)


def _in_source(error: ExpressionSyntax, raw: RawBlocks, source: str) -> ExpressionSyntax:
    """The error with its place in the source as written, raw blocks and all."""
    offset = raw.original(offset_of(raw.text, error.line, error.column))
    return ExpressionSyntax(error.message, *position(source, offset), source)


class Expressions:
    """The language with its settings; compiled templates are kept in bounded caches."""

    def __init__(self, *, recursive: bool = False, default_zone: str = "UTC") -> None:
        self.recursive = recursive
        self.default_zone = default_zone
        self._small = lru_cache(maxsize=4096)(self._build)
        self._large = lru_cache(maxsize=64)(self._build)

    def _build(self, source: str) -> Template:
        return Template(source, self)

    def compile(self, source: str) -> Template:
        """The template of a source, or `ExpressionSyntax`."""
        return self._small(source) if len(source) <= _SMALL else self._large(source)

    def render(
        self,
        source: str,
        variables: Mapping[str, object],
        services: Services,
        *,
        inline: bool = False,
    ) -> str | None:
        """The source rendered as text."""
        if "{" not in source:
            return source
        return self.compile(source).render(variables, services, inline=inline)

    def render_typed(
        self,
        source: str,
        variables: Mapping[str, object],
        services: Services,
        *,
        inline: bool = False,
    ) -> object:
        """The source rendered to a value."""
        return self.compile(source).render_typed(variables, services, inline=inline)

    def render_deep(
        self,
        value: object,
        variables: Mapping[str, object],
        services: Services,
        *,
        inline: bool = False,
    ) -> object:
        """Every text in maps and lists rendered, keys too; other scalars as they are."""
        if isinstance(value, str):
            return self.render(value, variables, services, inline=inline)
        frame = Frame(variables, services, self, inline=inline)
        return nested.deep(value, frame, recursive=self.recursive)


def is_pure(value: object, expressions: Expressions) -> bool:
    """Whether all texts in a value may be rendered inside the executor's step."""
    if isinstance(value, str):
        if len(value) > PURE_TEXT:
            return False
        try:
            return "{" not in value or expressions.compile(value).pure
        except ExpressionSyntax:
            return True
    if isinstance(value, Mapping):
        return all(is_pure(k, expressions) and is_pure(v, expressions) for k, v in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(is_pure(item, expressions) for item in value)
    return True
