"""A person at a clone: edits files, commits and pushes with the real Git."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

GIT_SECONDS = 30
PERSON = {
    "GIT_AUTHOR_NAME": "Ana Ruiz",
    "GIT_AUTHOR_EMAIL": "ana@example.org",
    "GIT_COMMITTER_NAME": "Ana Ruiz",
    "GIT_COMMITTER_EMAIL": "ana@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
}
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="Git is not installed")


@dataclass(frozen=True, slots=True)
class Clone:
    """A working copy."""

    folder: Path

    def push(self, changes: Mapping[str, str | None], message: str = "a change") -> str:
        """Write files (None deletes), commit and push; gives the commit."""
        for name, text in changes.items():
            path = self.folder / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "-q", "-m", message)
        git(self.folder, "push", "-q", "origin", "HEAD:main")
        return git(self.folder, "rev-parse", "HEAD")


def clone(repository: Path, folder: Path) -> Clone:
    """A clone of a repository."""
    git(folder.parent, "clone", "-q", str(repository), str(folder))
    return Clone(folder)


def new_repository(path: Path) -> Path:
    """An empty bare repository."""
    path.mkdir(parents=True)
    git(path, "init", "-q", "--bare", "--initial-branch=main", ".")
    return path


def git(folder: Path, *arguments: str) -> str:
    """What a Git command prints; fails with its own words."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **PERSON},
        capture_output=True,
        text=True,
        timeout=GIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()
