"""The way in: `Expressions` compiles sources into `Template`s and renders them.

One `Expressions` a process.  Compiling is cached by source; a text without `{` is never
parsed.  The parser and all libraries behind filters load when they are first needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from penstock_runner.expressions import limits
from penstock_runner.expressions.errors import ExpressionFailed, ExpressionSyntax, RenderLimit
from penstock_runner.expressions.scope import Frame

if TYPE_CHECKING:
    from penstock_runner.expressions.program import Program

PURE_TEXT = 64 * 1024
"""Longer texts are not rendered inside the executor's step."""
_SMALL = 8 * 1024
_RAW = re.compile(r"\{%-?\s*(raw|verbatim)\s*-?%\}(.*?)\{%-?\s*end\1\s*-?%\}", re.DOTALL)
_MARK = "\ue0f0"
_MARKED = re.compile(f"{_MARK}(\\d+){_MARK}")


class Services(Protocol):
    """The outside world as functions see it; every method may raise `ExpressionFailed`."""

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
        self._raw: list[str] = []
        self.functions: frozenset[str] = frozenset()
        self.filters: frozenset[str] = frozenset()
        self.roots: frozenset[str] = frozenset()
        self.pure = len(source) <= PURE_TEXT
        if "{" in source:
            self._compile()

    def _compile(self) -> None:
        from penstock_runner.expressions.program import Program

        text = self._without_raw()
        program = Program(text)
        self._program = program
        self.functions, self.filters = program.functions, program.filters
        self.roots = program.roots
        self.pure = self.pure and program.pure and not self._expressions.recursive

    def _without_raw(self) -> str:
        """The source with `{% raw %}` blocks taken out; marks stand for them until the end."""
        if "raw" not in self.source and "verbatim" not in self.source:
            return self.source
        if _MARK in self.source:
            raise ExpressionSyntax(
                "The character U+E0F0 cannot stand beside raw", 1, 1, self.source
            )

        def taken(match: re.Match[str]) -> str:
            self._raw.append(match[2])
            return f"{_MARK}{len(self._raw) - 1}{_MARK}"

        return _RAW.sub(taken, self.source)

    def render(
        self, variables: Mapping[str, object], services: Services, *, inline: bool = False
    ) -> str | None:
        """The template as text; `inline` refuses what may not run in the executor's step."""
        frame = Frame(variables, services, self._expressions, inline=inline)
        return self.render_in(frame)

    def render_in(self, frame: Frame) -> str:
        """The template as text, as a part of another rendering."""
        if self._program is None:
            return self.source
        text = self._program.text(frame)
        if self._expressions.recursive:
            text = self._expressions.again(text, frame)
        return self._with_raw(text)

    def once_in(self, frame: Frame) -> str:
        """One pass over the template, whatever the setting."""
        return self.source if self._program is None else self._with_raw(self._program.text(frame))

    def render_typed(
        self, variables: Mapping[str, object], services: Services, *, inline: bool = False
    ) -> object:
        """The value of a single print with its type; text when there is more."""
        if self._program is None:
            return self.source or None
        frame = Frame(variables, services, self._expressions, inline=inline)
        value = self._program.typed(frame)
        if isinstance(value, str):
            if self._expressions.recursive:
                value = self._expressions.again(value, frame)
            return self._with_raw(value)
        return value

    def _with_raw(self, text: str) -> str:
        if not self._raw or _MARK not in text:
            return text
        blocks = self._raw

        def restored(match: re.Match[str]) -> str:
            index = int(match[1][:9])
            return blocks[index] if index < len(blocks) else match[0]

        return _MARKED.sub(restored, text)


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
        return self.deep_in(value, Frame(variables, services, self, inline=inline))

    def deep_in(self, value: object, frame: Frame, *, recursive: bool = False) -> object:
        """As `render_deep`, as a part of another rendering."""
        if isinstance(value, str):
            return self.text_in(value, frame, recursive=recursive)
        if isinstance(value, Mapping):
            rendered: dict[object, object] = {}
            for key, item in value.items():
                name = (
                    self.text_in(key, frame, recursive=recursive) if isinstance(key, str) else key
                )
                if name not in rendered:
                    rendered[name] = self.deep_in(item, frame, recursive=recursive)
            return rendered
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.deep_in(item, frame, recursive=recursive) for item in value]
        return value

    def text_in(self, source: str, frame: Frame, *, recursive: bool) -> str:
        """A text rendered within another rendering, again until it stays the same if asked."""
        if "{" not in source:
            return source
        inner = Frame(
            frame.all_variables(), frame.services, self, inline=frame.inline, parent=frame
        )
        if inner.nesting > limits.NESTING:
            raise RenderLimit("Too many rendering attempts")
        inner.rerendered += _tags(source)
        text = self._measured(source, inner)
        if recursive and text != source:
            text = self.again(text, inner)
        frame.rerendered = inner.rerendered
        return text

    def again(self, text: str, frame: Frame) -> str:
        """A rendered text rendered again until it stays the same."""
        for _ in range(limits.ROUNDS):
            if "{" not in text:
                return text
            frame.rerendered += _tags(text)
            rendered = self._measured(text, frame)
            if rendered == text:
                return text
            text = rendered
        raise RenderLimit("Too many rendering attempts")

    def _measured(self, source: str, frame: Frame) -> str:
        if frame.rerendered > limits.RERENDERED:
            raise RenderLimit(
                f"Texts with more than {limits.RERENDERED:,} expressions in all were rendered again"
            )
        template = self.compile(source)
        inner = Frame(frame.variables, frame.services, self, inline=frame.inline, parent=frame)
        inner.nesting = frame.nesting
        text = template.once_in(inner)
        frame.rerendered = inner.rerendered
        return text


def _tags(text: str) -> int:
    return text.count("{{") + text.count("{%")


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
