"""Which names in a tree may be trusted, and patterns over paths.

A tree may hold any bytes as a name. What would leave a folder, hide in `.git` on some file system,
or cannot be shown is refused here, before a path is built from it.
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

LONGEST_NAME = 255
LONGEST_PATH = 1024
_SHORT_GIT = re.compile(r"git~\d+", re.IGNORECASE)
# Code points that HFS+ ignores in names, so that ".g\u200cit" is ".git" there.
_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")


def name_fault(raw: bytes) -> str | None:
    """Why one entry name cannot be used; None when it can."""
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        return "is not UTF-8"
    if not name or name in (".", ".."):
        return "is not a name"
    if len(raw) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} bytes"
    if "/" in name or "\\" in name:
        return "holds a slash"
    if any(unicodedata.category(char) == "Cc" for char in name):
        return "holds a control character"
    plain = _IGNORED.sub("", name).split(":", 1)[0].rstrip(". ").lower()
    if plain == ".git" or _SHORT_GIT.fullmatch(plain):
        return "is reserved for Git"
    return None


def shown(raw: bytes) -> str:
    """A name or path for people: what cannot be printed is escaped."""
    text = raw.decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


class Patterns:
    """Globs over paths with slashes: `*`, `?`, `[a-z]`, `{a,b}`, and `**` for any folders."""

    def __init__(self, patterns: Iterable[str]) -> None:
        expanded = [one for pattern in patterns for one in _braces(pattern.strip("/"))]
        self._patterns = tuple(tuple(one.split("/")) for one in expanded)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def match(self, path: str) -> bool:
        """Whether any pattern covers the whole path."""
        parts = path.split("/")
        return any(_covers(pattern, parts) for pattern in self._patterns)


class Ignored:
    """The rules of a file like `.gitignore`: of those that fit a path, the last one wins."""

    def __init__(self, text: str) -> None:
        rules: list[tuple[bool, bool, tuple[str, ...]]] = []
        for line in text.splitlines():
            rule = line.rstrip()
            if not rule or rule.startswith("#"):
                continue
            keep = rule.startswith("!")
            rule = rule[1:] if keep else rule
            # `\#` and `\!` begin a name with such a character.
            rule = rule[1:] if rule.startswith(("\\#", "\\!")) else rule
            folder = rule.endswith("/")
            rule = rule.rstrip("/")
            anchored = "/" in rule
            parts = tuple(rule.lstrip("/").split("/"))
            rules.append((keep, folder, parts if anchored else ("**", *parts)))
        self._rules = tuple(rules)

    def match(self, path: str) -> bool:
        """Whether the path is left out."""
        parts = path.split("/")
        return any(self._rule(parts[:depth], len(parts)) for depth in range(1, len(parts) + 1))

    def _rule(self, parts: list[str], whole: int) -> bool:
        ignored = False
        for keep, folder, pattern in self._rules:
            if folder and len(parts) == whole:
                continue
            if _covers(pattern, parts):
                ignored = not keep
        return ignored


def _covers(pattern: tuple[str, ...], parts: list[str]) -> bool:
    """Match segment by segment, keeping the set of places reached: nothing is tried twice."""
    reached = {0}
    for segment in pattern:
        if segment == "**":
            reached = set(range(min(reached), len(parts) + 1)) if reached else reached
            continue
        fits = _segment(segment)
        reached = {at + 1 for at in reached if at < len(parts) and fits.fullmatch(parts[at])}
        if not reached:
            return False
    return len(parts) in reached


@lru_cache(maxsize=2048)
def _segment(segment: str) -> re.Pattern[str]:
    # The standard library's translation uses atomic groups, so a hostile pattern cannot backtrack.
    return re.compile(fnmatch.translate(segment))


def _braces(pattern: str) -> list[str]:
    found = re.search(r"\{([^{}]*)\}", pattern)
    if found is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [one for part in found[1].split(",") for one in _braces(before + part + after)][:64]
