"""Globs over whole paths, as flow files write them for files of namespaces and of folders.

`*` stays in a folder, `**` does not, `{a,b}` and `[abc]` choose. A pattern that starts with `glob:`
or `regex:` is taken as it is. Any other is put below a folder when there is one; without a folder,
a pattern that starts with a word character matches at any depth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from penstock_runner.tasks.api import TaskFailed

Rule = Callable[[str], bool]


def normalised(pattern: str, folder: str | None = None) -> str:
    """The pattern with its kind in front, as it is held against whole paths."""
    if pattern.startswith(("glob:", "regex:")):
        return pattern
    if folder is not None:
        return f"glob:{folder.rstrip('/')}/{pattern.removeprefix('./').lstrip('/')}"
    return f"glob:**/{pattern}" if re.match(r"\w", pattern) else f"glob:{pattern}"


def rule(patterns: Iterable[str], folder: str | None = None) -> Rule:
    """Whether any of the patterns matches a whole path."""
    expressions = [_expression(normalised(pattern, folder)) for pattern in patterns]
    return lambda path: any(found.fullmatch(path) for found in expressions)


def selection(
    include: Iterable[str] | None, exclude: Iterable[str] | None = None, folder: str | None = None
) -> Rule:
    """Whether a path is included (by default all are) and not excluded."""
    wanted = rule(include, folder) if include else None
    unwanted = rule(exclude or (), folder)
    return lambda path: (wanted is None or wanted(path)) and not unwanted(path)


@lru_cache(maxsize=1024)
def _expression(pattern: str) -> re.Pattern[str]:
    kind, _, text = pattern.partition(":")
    try:
        return re.compile(text if kind == "regex" else _translated(text), re.DOTALL)
    except re.error as wrong:
        raise TaskFailed(f"The pattern '{pattern}' cannot be read: {wrong}") from None


def _translated(glob: str) -> str:
    """The regular expression of a glob."""
    found: list[str] = []
    at, depth = 0, 0
    while at < len(glob):
        part, at, depth = _part(glob, at, depth)
        found.append(part)
    return "".join(found) + ")" * depth


def _part(glob: str, at: int, depth: int) -> tuple[str, int, int]:
    """The expression of one part, where the next one starts, and how many groups are open."""
    char = glob[at]
    match char:
        case "*":
            stars = re.compile(r"\*+").match(glob, at)
            end = stars.end() if stars else at + 1
            return (".*" if end - at > 1 else "[^/]*"), end, depth
        case "?":
            return "[^/]", at + 1, depth
        case "{":
            return "(?:", at + 1, depth + 1
        case "}" if depth:
            return ")", at + 1, depth - 1
        case "," if depth:
            return "|", at + 1, depth
        case "\\" if at + 1 < len(glob):
            return re.escape(glob[at + 1]), at + 2, depth
        case "[" if "]" in glob[at + 2 :]:
            end = glob.index("]", at + 2)
            inner = glob[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            negated = inner[0] in "!^"
            return f"[^/{inner[1:]}]" if negated else f"[{inner}]", end + 1, depth
        case _:
            return re.escape(char), at + 1, depth
