"""A large repository of flows, made by `git fast-import` and served by Git's own HTTP program."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.git_http import serve_git

from bench.service import NotMeasured

START = 1_760_000_000
FLOW = """\
id: flow{n}
namespace: bench.team{team}
description: One of many, changed {change} times
labels: {{team: t{team}, kind: nightly}}
inputs:
  - {{id: day, type: STRING, defaults: "2026-01-01"}}
triggers:
  - {{id: nightly, type: io.kestra.plugin.core.trigger.Schedule, cron: "{minute} 3 * * *"}}
tasks:
  - id: load
    type: io.kestra.plugin.scripts.shell.Commands
    timeout: PT10M
    retry: {{type: constant, maxAttempts: 3, interval: PT30S}}
    commands:
      - echo "loading {{{{ inputs.day }}}} of flow {n}"
      - curl --fail --silent "https://data.example.org/{n}/{{{{ inputs.day }}}}.csv" > data.csv
    outputFiles: [data.csv]
  - id: report
    type: io.kestra.plugin.core.log.Log
    message: "{{{{ outputs.load.exitCode }}}} after change {change}"
"""


class Large:
    """A bare repository with many flow files and commits; `add` makes more."""

    def __init__(self, path: Path, files: int, commits: int) -> None:
        if shutil.which("git") is None:
            raise NotMeasured("git is not installed: there is nothing to make a repository with")
        self.path = path
        self.files = files
        self._changes = [0] * files
        self._commits = 0
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(path)], check=True)
        adding = min(100, commits)
        each = -(-files // adding)
        dice = random.Random(7)
        made = [range(n * each, min((n + 1) * each, files)) for n in range(adding)]
        touched = [
            [dice.randrange(files) for _ in range(dice.randint(1, 6))]
            for _ in range(commits - adding)
        ]
        self._import([*map(list, made), *touched])

    def add(self, *numbers: int) -> str:
        """One commit more that changes these files; its id."""
        self._import([list(numbers)])
        done = subprocess.run(
            ["git", "-C", str(self.path), "rev-parse", "main"],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def _import(self, commits: list[list[int]]) -> None:
        # Within one import Git goes on from the commit before by itself.
        above = ["from refs/heads/main^0\n" if self._commits else ""] + [""] * (len(commits) - 1)
        stream = "".join(map(self._commit, commits, above)).encode()
        command = ["git", "-C", str(self.path), "fast-import", "--quiet"]
        subprocess.run(command, input=stream, check=True)

    def _commit(self, numbers: list[int], above: str) -> str:
        self._commits += 1
        message = f"change {len(numbers)} flows"
        lines = [
            "commit refs/heads/main\n",
            f"committer Ana Ruiz <ana@example.org> {START + self._commits} +0000\n",
            f"data {len(message)}\n{message}\n",
            above,
        ]
        for n in dict.fromkeys(numbers):
            self._changes[n] += 1
            text = FLOW.format(n=n, team=n // 10, change=self._changes[n], minute=n % 60)
            lines.append(f"M 100644 inline team{n // 10}/flow{n}.yml\n")
            lines.append(f"data {len(text.encode())}\n{text}\n")
        return "".join(lines)


@contextmanager
def served(folder: Path, files: int, commits: int) -> Iterator[tuple[Large, str]]:
    """The repository and its address on this machine."""
    root = folder / "served"
    root.mkdir()
    large = Large(root / "flows.git", files, commits)
    with serve_git(root) as server:
        yield large, f"{server.url}/flows.git"
