"""What processes can say on their output beside plain lines: the `::...::` protocols.

`::{"outputs": ..., "metrics": ..., "logs": ...}::` is a message of the flow language. The
annotations and masks (`::error file=a.py,line=3::text`, `::add-mask::value`) are those that CI
authors know. This module only reads; what follows from them is decided in `output`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import orjson

MESSAGE = re.compile(r"::(\{.*\})::")
COMMAND = re.compile(r"::([a-zA-Z][\w-]*)(?: ([^\r\n]*?))?::(.*)", re.DOTALL)
ANNOTATIONS = ("error", "warning", "notice", "debug")
REFUSED = ("set-env", "add-path")
_ESCAPES = (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%"))


_GROUP = re.compile(r"::(group|endgroup)::(.*)", re.DOTALL)
_SECTION = re.compile(r"section_(start|end):\d+:([^\r\[]*)(\[[^\]\r]*\])?(?:\r(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Where lines that belong together begin, with their title; or, without one, where they end."""

    title: str | None = None
    shut: bool = False


class NotAMessage(ValueError):
    """A line looks like a message but its content is no JSON map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One command line: its name, its parameters and its text, with escapes undone."""

    name: str
    text: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def read_message(line: str) -> Mapping[str, object] | None:
    """The map of a message line, None for any other line."""
    found = MESSAGE.fullmatch(line)
    if found is None:
        return None
    try:
        message = orjson.loads(found[1])
    except orjson.JSONDecodeError as error:
        raise NotAMessage(str(error)) from None
    if not isinstance(message, dict):  # pragma: no cover - the pattern asks for braces
        raise NotAMessage("not a map")
    return message


def read_command(line: str) -> Said | None:
    """The command of an annotation line, None for any other line."""
    found = COMMAND.fullmatch(line)
    if found is None:
        return None
    parameters: dict[str, str] = {}
    for part in (found[2] or "").split(","):
        name, equals, value = part.partition("=")
        if equals:
            parameters[name.strip()] = unescape(value)
    return Said(name=found[1].lower(), text=unescape(found[3]), parameters=parameters)


def read_fold(line: str) -> Fold | None:
    """The fold that a line begins or ends, in either of the spellings that CI authors know."""
    if line.startswith("::"):
        group = _GROUP.fullmatch(line)
        if group is not None:
            return Fold(title=unescape(group[2]) if group[1] == "group" else None)
    elif line.startswith("section_"):
        section = _SECTION.fullmatch(line)
        if section is not None:
            title = section[4] or section[2] if section[1] == "start" else None
            return Fold(title=title, shut="collapsed=true" in (section[3] or ""))
    return None


def unescape(text: str) -> str:
    """The text behind the percent signs that keep line breaks and separators apart."""
    if "%" in text:
        for escape, plain in _ESCAPES:
            text = text.replace(escape, plain).replace(escape.lower(), plain)
    return text


def read_output_file(text: str) -> dict[str, str]:
    """The values of an output file: `key=value`, or `key<<END` and lines up to `END`."""
    values: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        if not line.strip():
            continue
        name, mark, rest = _first_mark(line)
        if mark == "=":
            values[name] = rest
        elif mark == "<<":
            values[name] = "\n".join(_until(rest.strip(), lines, name))
        else:
            raise NotAMessage(f"{line[:80]!r} is neither key=value nor key<<END")
    return values


def _first_mark(line: str) -> tuple[str, str, str]:
    equals, heredoc = line.find("="), line.find("<<")
    mark = "<<" if heredoc >= 0 and (equals < 0 or heredoc < equals) else "="
    name, found, rest = line.partition(mark)
    return name.strip(), found if name.strip() else "", rest


def _until(end: str, lines: Iterator[str], name: str) -> list[str]:
    found: list[str] = []
    for line in lines:
        if line == end:
            return found
        found.append(line)
    raise NotAMessage(f"{name} has no closing {end!r}")
