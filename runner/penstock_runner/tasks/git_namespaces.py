"""The task that brings a namespace and a folder of a Git repository together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from penstock_runner.tasks.api import Outputs, RunContext, TaskFailed, task
from penstock_runner.tasks.git_access import commit_url
from penstock_runner.tasks.git_commits import GitCommits, by_flow, files_of, texts_of
from penstock_runner.tasks.git_syncs import FLOW_FILES, plain_files, synced, uncover
from penstock_runner.tasks.stored import put_items


@task("io.kestra.plugin.git.NamespaceSync")
class NamespaceSync(GitCommits):
    """Bring a namespace and a folder of a branch together, flows and files: one of both is right.

    In Git everything lies below a folder named like the namespace: flows in `flows`, files in
    `files`. `sourceOfTruth` says which side is changed.
    """

    namespace: str
    branch: str
    git_directory: str = ""
    source_of_truth: Literal["GIT", "KESTRA"] = "KESTRA"
    when_missing_in_source: Literal["DELETE", "KEEP", "FAIL"] = "DELETE"
    protected_namespaces: tuple[str, ...] = ("system",)
    on_invalid_syntax: Literal["FAIL", "SKIP", "WARN"] = "FAIL"

    def run(self, ctx: RunContext) -> Outputs:
        """Sync in the direction asked for, and tell what was done."""
        folder = "/".join(part for part in (*self.git_directory.split("/"), self.namespace) if part)
        if self.source_of_truth == "GIT":
            outputs, rows = self._from_git(ctx, folder)
        else:
            outputs, rows = self._to_git(ctx, folder)
        uri, _ = put_items(ctx, rows, "diff.ion")
        return {**outputs, "diff": uri}

    def _from_git(self, ctx: RunContext, folder: str) -> tuple[Outputs, list[dict[str, Any]]]:
        source = self.opened(ctx).described(self.branch, folder) | {
            "include": [f"flows/{pattern}" for pattern in FLOW_FILES],
            "files": [{"dir": "files", "namespace": self.namespace}],
            "namespace": self.namespace,
        }
        scope = {
            "namespace": self.namespace,
            "files": True,
            "plain": plain_files(ctx, self.namespace),
            "missing": self.when_missing_in_source,
            "protected": self.protected_namespaces,
            "dry_run": self.dry_run,
            "skip_invalid": self.on_invalid_syntax != "FAIL",
        }
        done = synced(ctx, source, scope)
        if not self.dry_run:
            uncover(ctx, done["items"])
        states = {"ADDED": "ADDED", "UPDATED": "UPDATED_KES", "PRUNED": "DELETED_KES"}
        rows = [
            {
                "file": item["path"],
                "key": f"{item['namespace']}:{item['id'].removeprefix('/')}",
                "kind": item["kind"].upper(),
                "action": states[item["action"]],
            }
            for item in done["items"]
            if item["action"] in states
        ]
        commit = done["commit"]
        return {"commitId": commit, "commitURL": commit_url(self.url, commit)}, rows

    def _to_git(self, ctx: RunContext, folder: str) -> tuple[Outputs, list[dict[str, Any]]]:
        texts = texts_of(ctx, self.namespace, children=False)
        files = {f"files/{path}": data for path, data in files_of(ctx, self.namespace)}
        keys: dict[str, str] = {}

        def wish(there: Mapping[str, bytes]) -> Mapping[str, bytes | None]:
            flows = {path: data for path, data in there.items() if path.startswith("flows/")}
            known = {flow_id: path for (_, flow_id), path in by_flow(flows).items()}
            keys.update({path: flow_id for flow_id, path in known.items()})
            changes: dict[str, bytes | None] = dict(files)
            for one in texts:
                path = known.get(one["id"]) or f"flows/{one['id']}.yaml"
                keys[path] = one["id"]
                changes[path] = one["source"].encode()
            mine = [*known.values(), *(path for path in there if path.startswith("files/"))]
            return {**changes, **self._gone([path for path in mine if path not in changes])}

        outputs, changes = self.committed(
            ctx, self.branch, folder, wish, f"Sync namespace {self.namespace}"
        )
        states = {"ADDED": "ADDED", "UPDATED": "UPDATED_GIT", "DELETED": "DELETED_GIT"}
        rows = []
        for change in changes:
            path = change["file"].removeprefix(f"{folder}/")
            name = keys.get(path) or path.removeprefix("files/")
            rows.append(
                {
                    "file": change["file"],
                    "key": f"{self.namespace}:{name}",
                    "kind": "FLOW" if path.startswith("flows/") else "FILE",
                    "action": states[change["action"]],
                }
            )
        return outputs, rows

    def _gone(self, paths: list[str]) -> dict[str, None]:
        """What is deleted in Git, since the namespace does not have it."""
        safe = any(
            self.namespace == one or self.namespace.startswith(f"{one}.")
            for one in self.protected_namespaces
        )
        if not paths or safe or self.when_missing_in_source == "KEEP":
            return {}
        if self.when_missing_in_source == "FAIL":
            raise TaskFailed(f"{self.namespace} does not have {', '.join(sorted(paths)[:20])}")
        return dict.fromkeys(paths)
