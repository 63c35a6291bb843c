"""Tasks that read a Git repository into the working directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import Outputs, RunContext, TaskFailed, TaskProperties, task


@task("io.kestra.plugin.git.Clone")
class Clone(TaskProperties):
    """Put the files of a branch, tag or commit into the working directory.

    Only files are written: there is no `.git` folder, no hook runs, and links that leave the folder
    are left out. A branch that does not exist is an error, never another branch.
    """

    url: str
    directory: str | None = None
    branch: str | None = None
    tag: str | None = None
    commit: str | None = None
    depth: int | None = None
    clone_all_branches: bool = False
    no_tags: bool = False
    clone_submodules: bool = False
    username: str | None = None
    password: str | None = None
    private_key: str | None = None
    passphrase: str | None = None
    known_hosts: str | None = None
    trusted_ca_pem_path: str | None = None
    no_proxy: str | None = None
    connect_timeout: int = 10_000
    read_timeout: int = 60_000
    git_config: Mapping[str, object] | None = None
    trust_unknown_hosts: bool = False

    def run(self, ctx: RunContext) -> Outputs:
        """Fetch one commit and write its files."""
        from penstock_runner.git.clone import Source, clone
        from penstock_runner.git.remote import Credentials
        from penstock_runner.git.trouble import GitTrouble

        target = self._target(ctx.workspace)
        if self.git_config:
            ctx.log(Level.WARN, "gitConfig is not used: no git program runs here")
        if self.clone_submodules:
            ctx.log(Level.WARN, "cloneSubmodules is not supported: submodules are left out")
        source = Source(
            url=self.url,
            branch=self.branch,
            tag=self.tag,
            commit=self.commit,
            credentials=Credentials(
                username=self.username,
                password=self.password,
                ssh_key=self.private_key,
                passphrase=self.passphrase,
                known_hosts=self.known_hosts,
            ),
            ca_file=self.trusted_ca_pem_path,
            connect_seconds=self.connect_timeout / 1000,
            read_seconds=self.read_timeout / 1000,
        )
        try:
            done = clone(source, target, ctx.workspace.parent)
        except GitTrouble as trouble:
            raise TaskFailed(str(trouble)) from trouble
        ctx.log(Level.INFO, f"Cloned {done.commit[:7]} ({done.ref}), {done.files} files")
        return {"directory": str(target), "commitId": done.commit}

    def _target(self, workspace: Path) -> Path:
        target = (workspace / (self.directory or "")).resolve()
        if not target.is_relative_to(workspace.resolve()):
            raise TaskFailed(f"directory {self.directory!r} is outside the working directory")
        return target
