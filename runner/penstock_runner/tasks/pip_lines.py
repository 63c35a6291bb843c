"""Reads `pip install` lines of scripts, so that what they name can be installed once and kept.

Only plain lines are read: package names, files of requirements, and options that say where packages
come from. A line that does anything else stays a command like any other.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

STARTS = (
    ("pip", "install"),
    ("pip3", "install"),
    ("python", "-m", "pip", "install"),
    ("python3", "-m", "pip", "install"),
    ("uv", "pip", "install"),
)
IGNORED = frozenset(
    [
        *("-q", "-qq", "-qqq", "--quiet", "-v", "--verbose", "-U", "--upgrade", "--user"),
        *("--system", "--no-cache-dir", "--no-cache", "--no-input", "--disable-pip-version-check"),
        *("--break-system-packages", "--no-warn-script-location", "--root-user-action=ignore"),
    ]
)
KEPT = frozenset(["--pre", "--no-index", "--no-deps"])
KEPT_WITH_VALUE = frozenset(
    ["-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host"]
)
PACKAGE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,\s-]+\])?\s*([<>=!~;@].*)?", re.DOTALL
)
SHELL = re.compile(r"[$`|&;<>(){}*?\\\n]")
LONGEST_FILE = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What lines ask to have installed: requirements, options, and the lines that are left."""

    requirements: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def pip_is_used(self) -> bool:
        """Whether a line that is left may install something itself."""
        return any(re.search(r"\b(pip3?|uv|poetry)\b", line) for line in self.left)


def read_lines(lines: Sequence[str], folder: Path) -> Installation:
    """Take the installations out of the lines; files of requirements are looked for in `folder`."""
    requirements: list[str] = []
    options: list[str] = []
    left: list[str] = []
    for text in lines:
        kept: list[str] = []
        for line in text.split("\n"):
            asked = _read(line.strip(), folder)
            if asked is None:
                kept.append(line)
            else:
                requirements += asked[0]
                options += asked[1]
        if kept or not text:
            left.append("\n".join(kept))
    return Installation(
        requirements=tuple(dict.fromkeys(requirements)), options=tuple(options), left=tuple(left)
    )


def _read(line: str, folder: Path) -> tuple[list[str], list[str]] | None:
    """The requirements and options of a line, None when it is no plain installation."""
    start = next((s for s in STARTS if line.split()[: len(s)] == list(s)), None)
    if start is None:
        return None
    try:
        words = shlex.split(line, comments=True)[len(start) :]
    except ValueError:
        return None
    if SHELL.search(_outside_quotes(line)):
        return None
    requirements: list[str] = []
    options: list[str] = []
    rest = iter(words)
    for word in rest:
        found = _read_word(word, rest, folder)
        if found is None:
            return None
        requirements += found[0]
        options += found[1]
    return (requirements, options) if requirements else None


def _read_word(
    word: str, following: Iterator[str], folder: Path
) -> tuple[list[str], list[str]] | None:
    name, equals, _ = word.partition("=")
    if word in IGNORED:
        return [], []
    if word in KEPT or (equals and name in KEPT_WITH_VALUE):
        return [], [word]
    if word in KEPT_WITH_VALUE or word in {"-r", "--requirement"}:
        value = next(following, None)
        if value is None:
            return None
        if word in KEPT_WITH_VALUE:
            return [], [word, value]
        return _read_file(value, folder)
    if word.startswith("-") or not PACKAGE.fullmatch(word) or (folder / word).exists():
        return None
    return [word], []


def _read_file(name: str, folder: Path) -> tuple[list[str], list[str]] | None:
    """The requirements of a file that is there already; one with options or paths is left alone."""
    path = folder / name
    try:
        if path.is_symlink() or path.stat().st_size > LONGEST_FILE:
            return None
        text = path.read_text("utf-8")
    except (OSError, ValueError):
        return None
    lines = [re.sub(r"(^|\s)#.*$", "", line).strip() for line in text.split("\n")]
    found = [line for line in lines if line]
    return (found, []) if found and all(PACKAGE.fullmatch(line) for line in found) else None


def _outside_quotes(line: str) -> str:
    """The line without what stands in quotes: there, the shell sees no signs of its own."""
    return re.sub(r"'[^']*'|\"[^\"$`\\]*\"", "", line)
