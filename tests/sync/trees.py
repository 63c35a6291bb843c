"""One look at a real repository over HTTP, as the git process does it, and what it finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.git_http import Repository, serve_git
from tests.sync.world import REGISTRY

from penstock_runner.tasks.storage import LocalStorage
from penstock_server.sync.look import look

LIMITS = {"file_bytes": 1 << 20, "blob_bytes": 10 << 20, "files": 20_000}
INCLUDE = ["**/*.yml", "**/*.yaml"]


@dataclass
class Looking:
    """A repository that is served, and looks at it."""

    repository: Repository
    url: str
    folder: Path
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def storage(self) -> LocalStorage:
        return LocalStorage(self.folder / "storage")

    def look(self, known: Mapping[str, str] | None = None, **source: Any) -> dict[str, Any]:
        """Fetch and read the branch; the whole answer."""
        described = {"id": "main", "url": self.url, "ref_kind": "branch", "ref": "HEAD"}
        described |= {"include": INCLUDE, "limits": LIMITS, **source}
        request = {"type": "look", "source": described, "known": known or {}}
        self.answer = look(request, self.folder / "bare", REGISTRY, self.storage)
        return self.answer

    def flows(self, **source: Any) -> list[str]:
        """Path and full name of each flow that a look finds."""
        return [
            f"{file['path']}{item['pointer']} {item['namespace']}.{item['id']}"
            for file in self.look(**source)["files"]
            for item in file["items"]
        ]

    def files(self, **source: Any) -> list[str]:
        """Path, namespace and target of each namespace file."""
        return [
            f"{file['path']} {file['file']['namespace']}{file['file']['path']}"
            for file in self.look(**source)["files"]
            if "file" in file
        ]

    def known(self) -> dict[str, str]:
        """What core would say it knows after the last look."""
        return {one["path"]: one["blob"] for one in self.answer["files"] if not one["includes"]}

    @property
    def faults(self) -> list[str]:
        """Path, line and code of all that the last look has to say, in order."""
        told = [fault for file in self.answer["files"] for fault in file["faults"]]
        told += self.answer["notes"]
        return [f"{one['path']}:{one['line']} {one['code']}" for one in told]

    def text(self, flow_id: str) -> str:
        """The text of a flow of the last look."""
        found = [one for file in self.answer["files"] for one in file["items"]]
        return str(next(one["text"] for one in found if one["id"] == flow_id))


@contextmanager
def looking(folder: Path) -> Iterator[Looking]:
    """A fresh repository behind a real HTTP server."""
    repository = Repository(folder / "served" / "flows.git")
    with serve_git(folder / "served") as server:
        yield Looking(repository, server.url_of(repository), folder)
