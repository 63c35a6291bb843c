"""Pebble's tokens on Jinja2's lexer.

Two things differ from Jinja2 beside the rules: a token carries its offset in the source
where Jinja2 has a line number, so that errors can name a column; and carriage returns
survive.  Both rest on undocumented parts of Jinja2 3.1 (`Lexer.rules`, `wrap`), which the
tests of this room hold in place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from jinja2 import Environment
from jinja2.exceptions import TemplateSyntaxError
from jinja2.lexer import Lexer, Token, TokenStream

_OPERATORS = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "%": "mod",
    "~": "tilde",
    "==": "eq",
    "!=": "ne",
    ">=": "gteq",
    "<=": "lteq",
    ">": "gt",
    "<": "lt",
    "=": "assign",
    "..": "range",
    ".": "dot",
    ",": "comma",
    ":": "colon",
    "|": "pipe",
    "???": "undefcoalesce",
    "??": "coalesce",
    "?": "question",
    "(": "lparen",
    ")": "rparen",
    "[": "lbracket",
    "]": "rbracket",
    "{": "lbrace",
    "}": "rbrace",
}
_RULES = {
    "operator": re.compile(
        "|".join(re.escape(text) for text in sorted(_OPERATORS, key=len, reverse=True))
    ),
    "integer": re.compile(r"\d+[lL]?(?!\w)"),
    "float": re.compile(r"\d+\.\d+(?!\w)"),
    "string": re.compile(r"'[^'\\]*(?:\\.[^'\\]*)*'" r'|"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL),
}
_IGNORED = frozenset(
    {"comment_begin", "comment", "comment_end", "whitespace", "raw_begin", "raw_end"}
)
_SPARE_SPACES = "\x1c\x1d\x1e\x1f"
"""White space to a lexer, but no line break: one of them stands in for `\\r`."""


class PebbleStream(TokenStream):
    """A token stream that words its complaints as Pebble does."""

    def expect(self, expr: str) -> Token:
        """Take the token asked for, or say what is there instead."""
        if self.current.test(expr):
            return next(self)
        kind, _, value = expr.partition(":")
        wanted = f'"{value}"' if value else f"of type {_described(kind)}"
        if self.current.type == "eof":
            message = f"Unexpected end of template, expected token {wanted}"
        else:
            message = f"{unexpected(self.current)}, expected token {wanted}{self._hint()}"
        raise TemplateSyntaxError(message, self.current.lineno, self.name, self.filename)

    def _hint(self) -> str:
        """How what other template languages write is written here."""
        if self.current.test("name:if"):
            return ": a choice is written as `condition ? one : other`"
        return ""


def unexpected(token: Token) -> str:
    """The first half of most complaints."""
    return f'Unexpected token of value "{token.value}" and type {_described(token.type)}'


def _described(kind: str) -> str:
    return {
        "variable_begin": "PRINT_START",
        "variable_end": "PRINT_END",
        "block_begin": "EXECUTE_START",
        "block_end": "EXECUTE_END",
        "name": "NAME",
        "string": "STRING",
        "interpolated": "STRING",
        "integer": "NUMBER",
        "float": "NUMBER",
        "data": "TEXT",
    }.get(kind) or next(
        (f"PUNCTUATION {text}" for text, name in _OPERATORS.items() if name == kind), kind.upper()
    )


class PebbleLexer(Lexer):
    """Jinja2's lexer with Pebble's literals and operators."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.rules = {
            state: [
                rule._replace(pattern=_RULES.get(str(rule.tokens), rule.pattern)) for rule in rules
            ]
            for state, rules in self.rules.items()
        }

    def tokenize(
        self,
        source: str,
        name: str | None = None,
        filename: str | None = None,
        state: str | None = None,
    ) -> TokenStream:
        """The tokens of a source, each with its offset."""
        stand_in = next((space for space in _SPARE_SPACES if space not in source), None)
        if stand_in is None and "\r" in source:
            raise TemplateSyntaxError("Too many kinds of control characters", 0, name, filename)
        stand_in = stand_in or "\x1c"
        text = source.replace("\r", stand_in)
        raw = _placed(self.tokeniter(text, name, filename, state), text)
        restored = raw if text is source or "\r" not in source else _restored(raw, stand_in)
        return PebbleStream(self.wrap(restored, name, filename), name, filename)

    def wrap(
        self,
        stream: Iterable[tuple[int, str, str]],
        name: str | None = None,
        filename: str | None = None,
    ) -> Iterator[Token]:
        """Tokens with their values; the first item of each tuple is the offset."""
        for offset, kind, text in stream:
            if kind in _IGNORED:
                continue
            if kind == "operator":
                yield Token(offset, _OPERATORS[text], text)
            elif kind == "name":
                if not text.isidentifier():
                    raise TemplateSyntaxError(
                        f"Invalid character in the name {text!r}", offset, name, filename
                    )
                yield Token(offset, kind, text)
            elif kind == "string":
                interpolated = text[0] == '"' and "#{" in text
                yield Token(offset, "interpolated" if interpolated else kind, _unescaped(text))
            else:
                yield Token(offset, kind, text)


def _unescaped(literal: str) -> str:
    quote = literal[0]
    return re.sub(rf"\\([{quote}\\])", r"\1", literal[1:-1])


def _placed(stream: Iterable[tuple[int, str, str]], text: str) -> Iterator[tuple[int, str, str]]:
    """The stream with offsets for line numbers: only stripped white space lies between tokens."""
    offset = 0
    try:
        for _, kind, value in stream:
            start = text.find(value, offset)
            yield start, kind, value
            offset = start + len(value)
    except TemplateSyntaxError as error:
        message = re.sub(
            r"unexpected char (.+) at \d+", r"Unexpected character \1", str(error.message)
        )
        raise TemplateSyntaxError(message, offset, error.name, error.filename) from None


def _restored(
    stream: Iterable[tuple[int, str, str]], stand_in: str
) -> Iterator[tuple[int, str, str]]:
    for offset, kind, value in stream:
        yield offset, kind, value.replace(stand_in, "\r")
