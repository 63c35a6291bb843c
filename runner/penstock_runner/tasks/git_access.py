"""What all Git tasks say of a repository: where it is, and how to get in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import Raw, RunContext, TaskFailed, TaskProperties

if TYPE_CHECKING:
    from penstock_runner.git.remote import Credentials, Remote

_FORGES = {"gitlab": "/-/commit/", "bitbucket": "/commits/"}


class GitAccess(TaskProperties):
    """The properties that all Git tasks share."""

    url: str
    username: str | None = None
    password: Annotated[str | None, Raw()] = None
    private_key: str | None = None
    passphrase: str | None = None
    known_hosts: str | None = None
    trust_unknown_hosts: bool = False
    trusted_ca_pem_path: str | None = None
    no_proxy: str | None = None
    connect_timeout: int = 10_000
    read_timeout: int = 60_000
    clone_submodules: bool = False
    git_config: Mapping[str, object] | None = None
    kestra_url: str | None = None
    auth: Mapping[str, object] | None = None

    # Whether a password may be written into the flow itself.
    literals: ClassVar[bool] = False

    def opened(self, ctx: RunContext) -> Self:
        """These properties with the password rendered; says which of them do nothing here."""
        self._warn(ctx)
        if self.password is None:
            return self
        if not self.literals and "{{" not in self.password:
            raise TaskFailed(
                "the password is written into the flow: keep it as a secret, and write"
                " password: \"{{ secret('NAME') }}\""
            )
        return self.model_copy(update={"password": ctx.render(self.password)})

    def _warn(self, ctx: RunContext) -> None:
        if self.git_config:
            ctx.log(Level.WARN, "gitConfig is not used: no git program runs here")
        if self.clone_submodules:
            ctx.log(Level.WARN, "cloneSubmodules is not supported: submodules are left out")
        if self.kestra_url or self.auth:
            ctx.log(Level.DEBUG, "kestraUrl and auth are not used: this is the service itself")

    @property
    def hosts(self) -> str | None:
        """The known hosts for SSH."""
        return "accept-new" if self.trust_unknown_hosts else self.known_hosts

    def credentials(self) -> Credentials:
        """User and password, or a key."""
        from penstock_runner.git.remote import Credentials

        return Credentials(
            username=self.username,
            password=self.password if self.username else None,
            ssh_key=self.private_key,
            passphrase=self.passphrase,
            known_hosts=self.hosts,
        )

    @property
    def token(self) -> str | None:
        """A password without a user is a token."""
        return None if self.username else self.password

    def remote(self) -> Remote:
        """The repository; raises `GitTrouble` for an address that is not allowed."""
        from penstock_runner.git.remote import Rules, remote_of

        return remote_of(
            self.url,
            self.credentials(),
            token=self.token,
            rules=Rules(allow_http=True),
            ca_file=self.trusted_ca_pem_path,
            connect_seconds=self.connect_timeout / 1000,
            read_seconds=self.read_timeout / 1000,
        )

    def described(self, branch: str, folder: str) -> dict[str, Any]:
        """The repository as core passes it on to the git process."""
        return {
            "url": self.url,
            "ref_kind": "branch",
            "ref": branch,
            "path": folder.strip("/"),
            "ca_file": self.trusted_ca_pem_path,
            "by_task": True,
            "auth": {
                "username": self.username,
                "password": self.password if self.username else None,
                "token": self.token,
                "ssh_key": self.private_key,
                "passphrase": self.passphrase,
                "known_hosts": self.hosts,
            },
        }


def commit_url(url: str, commit: str | None) -> str | None:
    """Where people look at a commit, for the forges that are known by their host."""
    if commit is None or not url.startswith(("http://", "https://")):
        return None
    scheme, _, rest = url.rstrip("/").removesuffix(".git").partition("://")
    host = rest.rpartition("@")[2]
    kind = next((part for name, part in _FORGES.items() if name in host.partition("/")[0]), None)
    return f"{scheme}://{host}{kind or '/commit/'}{commit}"
