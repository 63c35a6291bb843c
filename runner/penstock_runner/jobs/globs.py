"""Globs of flow files: `*` stays in a folder, `**` does not, `{a,b}` and `[abc]` choose."""

from __future__ import annotations

import re
from functools import lru_cache

_SPECIAL = re.compile(r"[*?\[{]")


def is_glob(pattern: str) -> bool:
    """Whether the text can match more than itself."""
    return bool(_SPECIAL.search(pattern))


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression of a glob, for whole paths."""
    out: list[str] = []
    i, depth = 0, 0
    while i < len(pattern):
        char = pattern[i]
        i += 1
        if char == "*":
            stars = i
            while i < len(pattern) and pattern[i] == "*":
                i += 1
            out.append(".*" if i > stars else "[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[" and "]" in pattern[i + 1 :]:
            end = pattern.index("]", i + 1)
            inner = pattern[i:end].replace("\\", "\\\\").replace("[", "\\[")
            out.append(f"[^{inner[1:]}]" if inner[0] in "!^" else f"[{inner}]")
            i = end + 1
        elif char == "{" and "}" in pattern[i:]:
            depth += 1
            out.append("(?:")
        elif char == "}" and depth:
            depth -= 1
            out.append(")")
        elif char == "," and depth:
            out.append("|")
        elif char == "\\" and i < len(pattern):
            out.append(re.escape(pattern[i]))
            i += 1
        else:
            out.append(re.escape(char))
    return re.compile("".join(out) + ")" * depth, re.DOTALL)


def matches(pattern: str, path: str, base: str) -> bool:
    """Whether a path below `base` is meant; `glob:` and `regex:` look at the absolute path."""
    absolute = f"{base.rstrip('/')}/{path}"
    if pattern.startswith("glob:"):
        return bool(compiled(pattern.removeprefix("glob:")).fullmatch(absolute))
    if pattern.startswith("regex:"):
        return bool(_regex(pattern.removeprefix("regex:")).fullmatch(absolute))
    return bool(compiled(anchored(pattern, base)).fullmatch(path))


def anchored(pattern: str, base: str) -> str:
    """A pattern below `base`, without `./` or the base itself in front."""
    below = base.rstrip("/") + "/"
    pattern = pattern.removeprefix(below) if pattern.startswith(below) else pattern
    while pattern.startswith("./"):
        pattern = pattern[2:]
    return pattern.lstrip("/")


def namespace_file_kept(path: str, include: list[str], exclude: list[str]) -> bool:
    """Whether the rules of `namespaceFiles` keep a file; `path` starts with a slash."""
    wanted = not include or any(_anywhere(pattern, path) for pattern in include)
    return wanted and not any(_anywhere(pattern, path) for pattern in exclude)


def _anywhere(pattern: str, path: str) -> bool:
    if pattern.startswith("regex:"):
        return bool(_regex(pattern.removeprefix("regex:")).fullmatch(path))
    pattern = pattern.removeprefix("glob:")
    if pattern[:1].isalnum() or pattern[:1] == "_":
        pattern = "**/" + pattern
    return bool(compiled(pattern).fullmatch(path))


@lru_cache(maxsize=256)
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
