"""Tasks that read a Git repository into the working directory."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import Outputs, RunContext, TaskFailed, task
from penstock_runner.tasks.git_access import GitAccess


@task("io.kestra.plugin.git.Clone")
class Clone(GitAccess):
    """Put the files of a branch, tag or commit into the working directory.

    Only files are written: there is no `.git` folder, no hook runs, and links that leave the folder
    are left out. A branch that does not exist is an error, never another branch.
    """

    directory: str | None = None
    branch: str | None = None
    tag: str | None = None
    commit: str | None = None
    depth: int | None = None
    clone_all_branches: bool = True
    no_tags: bool = False
    cache: object | None = None
    literals: ClassVar[bool] = True

    def run(self, ctx: RunContext) -> Outputs:
        """Fetch one commit and write its files."""
        from penstock_runner.git.clone import Chosen, clone
        from penstock_runner.git.trouble import GitTrouble

        target = self._target(ctx.workspace)
        if self.cache:
            ctx.log(Level.DEBUG, "cache is not used: only one commit is fetched")
        chosen = Chosen(branch=self.branch, tag=self.tag, commit=self.commit)
        try:
            done = clone(self.opened(ctx).remote(), chosen, target, ctx.workspace.parent)
        except GitTrouble as trouble:
            raise TaskFailed(str(trouble)) from trouble
        ctx.log(Level.INFO, f"Cloned {done.commit[:7]} ({done.ref}), {done.files} files")
        return {"directory": str(target), "commitId": done.commit}

    def _target(self, workspace: Path) -> Path:
        target = (workspace / (self.directory or "")).resolve()
        if not target.is_relative_to(workspace.resolve()):
            raise TaskFailed(f"directory {self.directory!r} is outside the working directory")
        return target
