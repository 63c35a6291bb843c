"""What tasks that commit to a Git repository share: the commit, and what a namespace holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock_runner.flow.model import Level
from penstock_runner.flow.yaml import load_documents
from penstock_runner.tasks import places
from penstock_runner.tasks.api import Outputs, RunContext, TaskFailed
from penstock_runner.tasks.git_access import GitAccess, commit_url
from penstock_runner.tasks.git_syncs import FOLDER_MARK

_NAME, _EMAIL = "Penstock", "penstock@localhost"


class GitCommits(GitAccess):
    """The properties of tasks that commit."""

    commit_message: str | None = None
    author_name: str | None = None
    author_email: str | None = None
    dry_run: bool = False

    def committed(
        self, ctx: RunContext, branch: str, folder: str, wish: Any, message: str
    ) -> tuple[Outputs, list[dict[str, Any]]]:
        """Commit and push what differs; the outputs that all have, and the changes."""
        from penstock_runner.git.pushing import Author, Push, push
        from penstock_runner.git.trouble import GitTrouble

        wanted = Push(
            branch=branch,
            folder=folder.strip("/"),
            wish=wish,
            message=self.commit_message or message,
            author=Author(
                name=self.author_name or self.username or _NAME,
                email=self.author_email or _EMAIL,
                at=ctx.now(),
            ),
            dry_run=self.dry_run,
        )
        try:
            done = push(self.opened(ctx).remote(), wanted, ctx.workspace.parent)
        except GitTrouble as trouble:
            raise TaskFailed(f"{trouble.code} {trouble}") from trouble
        what = "would be changed" if self.dry_run else "changed"
        ctx.log(Level.INFO, f"{branch}: {len(done.changes)} files {what}")
        changes = [
            {
                "file": one.file,
                "additions": f"+{one.additions}",
                "deletions": f"-{one.deletions}",
                "changes": str(one.changes),
                "action": one.action,
            }
            for one in done.changes
        ]
        outputs = {"commitId": done.commit, "commitURL": commit_url(self.url, done.commit)}
        return outputs, changes


def texts_of(ctx: RunContext, namespace: str, *, children: bool) -> list[dict[str, str]]:
    """Namespace, id and text of the flows of a namespace."""
    found: list[dict[str, str]] = []
    while True:
        after = [found[-1]["namespace"], found[-1]["id"]] if found else []
        some = ctx.call("git.task.sources", namespace=namespace, children=children, after=after)
        if not some:
            return found
        found += some


def files_of(ctx: RunContext, namespace: str) -> Iterator[tuple[str, bytes]]:
    """Path and content of the files of a namespace."""
    for facts in ctx.storage.walk(places.namespace_files(namespace)):
        if facts.name != FOLDER_MARK:
            path = places.path_in_namespace(namespace, facts.uri)
            yield path, ctx.storage.read_bytes(facts.uri)


def by_flow(files: Mapping[str, bytes]) -> dict[tuple[str, str], str]:
    """The path of each flow, by its folder and id."""
    found: dict[tuple[str, str], str] = {}
    for path, data in files.items():
        if not path.endswith((".yml", ".yaml")):
            continue
        documents = load_documents(data.decode("utf-8-sig", "replace"), path)
        read = documents[0].data if len(documents) == 1 else None
        if isinstance(read, Mapping) and isinstance(read.get("id"), str) and "tasks" in read:
            folder, slash, _ = path.rpartition("/")
            found[folder + slash, str(read["id"])] = path
    return found
