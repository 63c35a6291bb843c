"""Tasks that commit flows and files of namespaces to a Git repository."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from penstock_runner.flow.rewriting import rewritten
from penstock_runner.flow.yaml import load_documents
from penstock_runner.tasks import globs
from penstock_runner.tasks.api import Outputs, RunContext, task
from penstock_runner.tasks.git_commits import GitCommits, by_flow, files_of, texts_of
from penstock_runner.tasks.stored import put_items


@task("io.kestra.plugin.git.PushFlows")
class PushFlows(GitCommits):
    """Commit the flows of a namespace to a folder of a branch, which is made when it is missing.

    A flow that is in Git and no longer in the namespace leaves Git, too, unless `delete` is off;
    files that hold no flow, and flows that `flows` does not mean, stay.
    """

    branch: str = "main"
    source_namespace: str | None = None
    target_namespace: str | None = None
    flows: str | tuple[str, ...] = "**"
    include_child_namespaces: bool = False
    git_directory: str = "_flows"
    delete: bool = True

    def run(self, ctx: RunContext) -> Outputs:
        """Push, and tell what was done to each file."""
        namespace = self.source_namespace or ctx.namespace
        meant = _meant(self.flows)
        children = self.include_child_namespaces
        found = texts_of(ctx, namespace, children=children)
        chosen = [one for one in found if meant(one["id"])]

        def wish(there: Mapping[str, bytes]) -> Mapping[str, bytes | None]:
            known = by_flow(there)
            changes: dict[str, bytes | None] = {}
            for one in chosen:
                text, below = self._text(one, namespace)
                path = known.get((below, one["id"])) or f"{below}{one['id']}.yml"
                changes[path] = text
            if self.delete and chosen:
                changes |= {
                    path: None
                    for (below, flow_id), path in known.items()
                    if path not in changes and meant(flow_id) and (children or not below)
                }
            return changes

        outputs, changes = self.committed(
            ctx, self.branch, self.git_directory, wish, f"Add flows from `{namespace}` namespace"
        )
        uri, _ = put_items(ctx, map(_plain_change, changes), "diff.ion")
        return {**outputs, "flows": uri}

    def _text(self, one: Mapping[str, str], namespace: str) -> tuple[bytes, str]:
        """The text to push, and the folder for it."""
        rest = one["namespace"].removeprefix(namespace).strip(".")
        below = f"{rest.replace('.', '/')}/" if rest else ""
        text = one["source"]
        if self.target_namespace:
            target = ".".join(part for part in (self.target_namespace, rest) if part)
            text = rewritten(load_documents(text)[0], target).text
        return text.encode(), below


@task("io.kestra.plugin.git.PushNamespaceFiles")
class PushNamespaceFiles(GitCommits):
    """Commit the files of a namespace to a folder of a branch, which is made when it is missing.

    A file that is in Git and no longer in the namespace leaves Git, too, unless `delete` is off;
    files that `files` does not mean stay. `namespaceDirectory` stands for the whole namespace.
    """

    branch: str = "main"
    namespace: str | None = None
    files: str | tuple[str, ...] = "**"
    git_directory: str = "_files"
    namespace_directory: str = "/"
    delete: bool = True

    def run(self, ctx: RunContext) -> Outputs:
        """Push, and tell what was done to each file."""
        namespace = self.namespace or ctx.namespace
        meant = _meant(self.files)
        top = "".join(
            f"{part}/" for part in self.namespace_directory.split("/") if part not in ("", ".")
        )
        chosen = {
            path.removeprefix(top): data
            for path, data in files_of(ctx, namespace)
            if path.startswith(top) and meant(path.removeprefix(top))
        }

        def wish(there: Mapping[str, bytes]) -> Mapping[str, bytes | None]:
            gone = [path for path in there if path not in chosen and meant(path)]
            return {**chosen, **dict.fromkeys(gone if self.delete and chosen else ())}

        outputs, changes = self.committed(
            ctx, self.branch, self.git_directory, wish, f"Add files from `{namespace}` namespace"
        )
        uri, _ = put_items(ctx, map(_plain_change, changes), "diff.ion")
        return {**outputs, "files": uri}


def _meant(patterns: str | tuple[str, ...]) -> Callable[[str], bool]:
    """Whether patterns mean a name, which they may write with a slash before it."""
    rule = globs.rule((patterns,) if isinstance(patterns, str) else patterns)
    return lambda name: rule(name) or rule(f"/{name}")


def _plain_change(change: Mapping[str, Any]) -> dict[str, Any]:
    return {name: change[name] for name in ("file", "additions", "deletions", "changes")}
