"""What goes wrong in expressions, one class a decision that a caller makes.

Rendering raises `ExpressionFailed` and nothing else.  An error learns its place on the
way up: the part of the template that failed gives the offset, the template its source.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

SHOWN = 300
"""Templates longer than this are shown by the line that failed only."""


class ExpressionFailed(Exception):
    """An expression could not be rendered; its text is for the author of the flow."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.source: str | None = None

    def at(self, offset: int) -> Self:
        """Remember where in the source it happened; the innermost place wins."""
        if self.offset is None:
            self.offset = offset
        return self

    def within(self, source: str) -> Self:
        """Remember the template; the innermost one wins."""
        if self.source is None:
            self.source = source
        return self

    def __str__(self) -> str:
        if self.source is None:
            return self.message
        return f"{self.message} ({_shown(self.source, self.offset)}:{self.line})"

    @property
    def line(self) -> int:
        """The line in the template, from 1."""
        return position(self.source or "", self.offset or 0)[0]


class UndefinedVariable(ExpressionFailed):
    """A variable, key or index that is not there; `??` and `is defined` catch this one only."""

    def __init__(
        self, name: str, hint: str | Callable[[], str] = "", offset: int | None = None
    ) -> None:
        super().__init__(f"Unable to find `{name}`", offset)
        self.name = name
        self._hint = hint

    @property
    def hint(self) -> str:
        """What was probably meant; looked for only when asked, as most are caught by `??`."""
        return self._hint if isinstance(self._hint, str) else self._hint()

    def __str__(self) -> str:
        text = self.message
        if self.source is not None:
            shown = _shown(self.source, self.offset)
            text += f" used in the expression `{shown}` at line {self.line}"
        hint = self.hint
        return f"{text}. {hint}" if hint else text


class ExpressionSyntax(ExpressionFailed):
    """A source that is not a template, with the place (from 1) inside that source."""

    def __init__(self, message: str, line: int, column: int, source: str) -> None:
        super().__init__(message)
        self.source = source
        self._line = line
        self.column = column

    def __str__(self) -> str:
        return f"{self.message} ({_line_of(self.source or '', self._line)}:{self._line})"

    @property
    def line(self) -> int:
        """The line in the template, from 1."""
        return self._line


class UnknownSecret(ExpressionFailed):
    """No secret of that name."""

    def __init__(self, key: str) -> None:
        super().__init__(f"Cannot find secret for key '{key}'.")
        self.key = key


class KeyMissing(ExpressionFailed):
    """No such key in the key-value store."""

    def __init__(self, key: str, namespace: str | None) -> None:
        super().__init__(f"The key '{key}' does not exist in the namespace '{namespace}'.")
        self.key = key
        self.namespace = namespace


class KeyExpired(ExpressionFailed):
    """The key was there, but its time is over."""

    def __init__(self) -> None:
        super().__init__("The requested value has expired")


class RenderLimit(ExpressionFailed):
    """The result, a range or a loop would be too large."""


class NotInline(ExpressionFailed):
    """The template calls, at run time, what may not run inside the executor's step."""


def position(source: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of an offset."""
    before = source[: max(offset, 0)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _shown(source: str, offset: int | None) -> str:
    if len(source) <= SHOWN:
        return source
    return _line_of(source, position(source, offset or 0)[0])


def _line_of(source: str, line: int) -> str:
    if len(source) <= SHOWN:
        return source
    lines = source.split("\n")
    text = lines[line - 1].strip() if line <= len(lines) else ""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
