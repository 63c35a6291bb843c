"""Which files a command line means: named ones, and in folders those that may hold flows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

SUFFIXES = frozenset({".yml", ".yaml"})
# Files of namespaces live in these folders; they are no flows.
ELSEWHERE = frozenset({"_files"})


def flow_files(paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """The files in their order; the flag tells those that were named from those that were found."""
    for path in paths:
        if path.is_dir():
            yield from (
                (found, False) for found in sorted(path.rglob("*.y*ml")) if _fits(found, path)
            )
        else:
            yield path, True


def _fits(found: Path, folder: Path) -> bool:
    parts = found.relative_to(folder).parts
    hidden = any(part.startswith(".") for part in parts)
    return (
        found.suffix in SUFFIXES
        and not hidden
        and not ELSEWHERE.intersection(parts[:-1])
        and found.is_file()
        and not found.is_symlink()
    )
