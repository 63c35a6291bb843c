"""Tasks that commit flows and files of namespaces to a Git repository."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from penstock_runner.flow.model import Level
from penstock_runner.flow.rewriting import rewritten
from penstock_runner.flow.yaml import load_documents
from penstock_runner.tasks import globs, places
from penstock_runner.tasks.api import Outputs, RunContext, TaskFailed, task
from penstock_runner.tasks.git_access import GitAccess, commit_url
from penstock_runner.tasks.git_syncs import FLOW_FILES, FOLDER_MARK, synced, uncover
from penstock_runner.tasks.git_syncs import plain_files as plain_files_of
from penstock_runner.tasks.stored import put_items

Files = dict[str, bytes]
_NAME, _EMAIL = "Penstock", "penstock@localhost"


class _Commits(GitAccess):
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


@task("io.kestra.plugin.git.PushFlows")
class PushFlows(_Commits):
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
            known = _by_flow(there)
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
class PushNamespaceFiles(_Commits):
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


@task("io.kestra.plugin.git.NamespaceSync")
class NamespaceSync(_Commits):
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
            "plain": plain_files_of(ctx, self.namespace),
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
            known = {flow_id: path for (_, flow_id), path in _by_flow(flows).items()}
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


def _meant(patterns: str | tuple[str, ...]) -> Callable[[str], bool]:
    """Whether patterns mean a name, which they may write with a slash before it."""
    rule = globs.rule((patterns,) if isinstance(patterns, str) else patterns)
    return lambda name: rule(name) or rule(f"/{name}")


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
    top = places.namespace_files(namespace)
    for facts in ctx.storage.walk(top):
        if facts.name != FOLDER_MARK:
            yield facts.uri.removeprefix(f"{top}/"), ctx.storage.read_bytes(facts.uri)


def _by_flow(files: Mapping[str, bytes]) -> dict[tuple[str, str], str]:
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


def _plain_change(change: Mapping[str, Any]) -> dict[str, Any]:
    return {name: change[name] for name in ("file", "additions", "deletions", "changes")}
