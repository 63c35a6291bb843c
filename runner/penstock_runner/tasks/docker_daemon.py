"""What the tasks about Docker share: which daemon they speak to, and how they log in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Protocol

from penstock_runner.flow.model import Level
from penstock_runner.taskrunners import docker_labels
from penstock_runner.taskrunners.api import SetupFailed
from penstock_runner.taskrunners.choice import daemon_for
from penstock_runner.taskrunners.docker_access import DockerAccess
from penstock_runner.tasks.api import TaskFailed, TaskProperties, Typed
from penstock_runner.tasks.scripts import ScriptContext
from penstock_runner.tasks.taskrunner_types import Credentials

MANAGE = "daemon"
"""What an administrator allows for tasks that touch what is not theirs on a daemon."""


class DockerContext(ScriptContext, Protocol):
    """The world of a task that speaks to a daemon itself."""

    @property
    def docker_access(self) -> DockerAccess:
        """How this runner may use Docker."""
        ...


class DockerProperties(TaskProperties):
    """The properties of every task about Docker."""

    host: str | None = None
    config: Annotated[object, Typed()] = None
    credentials: Credentials | None = None

    def login(self, image: str) -> dict[str, Any]:
        """How to log in to the registry of an image; empty for anybody."""
        from penstock_runner.taskrunners.docker_settings import login_of

        return login_of(self.written_login(), image)

    def written_login(self) -> dict[str, Any]:
        """`config` and `credentials` as the task runner reads them."""
        found: dict[str, Any] = {"config": self.config}
        if self.credentials is not None:
            found["credentials"] = self.credentials.model_dump(by_alias=True, exclude_none=True)
        return found

    def named(self, image: str) -> str:
        """The image, in the registry of the credentials unless it names one."""
        from penstock_runner.taskrunners.docker_settings import image_in

        registry = None if self.credentials is None else self.credentials.registry
        return image_in(registry, image)


@contextmanager
def calling(
    ctx: DockerContext, properties: DockerProperties, what: str | None = None
) -> Iterator[Any]:
    """A client of the daemon; what goes wrong with it fails the task, with the daemon's words.

    `what` says which work it was.
    """
    from penstock_runner.taskrunners import docker_client

    try:
        daemon = daemon_for(properties.host, ctx.docker_access)
        client = docker_client.connect(daemon)
    except SetupFailed as failed:
        raise TaskFailed(str(failed), reason="setup") from None
    ctx.on_cancel(client.close)
    try:
        yield client
    except docker_client.UNREACHABLE as error:
        who = what or f"The Docker daemon at {daemon.host}"
        raise TaskFailed(f"{who}: {docker_client.words(error)}") from None
    finally:
        client.close()


def follow(ctx: DockerContext, said: Iterable[Mapping[str, Any]], what: str) -> Iterator[Any]:
    """Tell the log what a daemon says of its work, and give what it found; an error ends it."""
    for one in said:
        if one.get("error"):
            raise TaskFailed(f"{what}: {one['error']}")
        text = str(one.get("stream") or one.get("status") or "").strip()
        if text and not one.get("progressDetail"):
            ctx.log(Level.INFO, f"{one['id']}: {text}" if one.get("id") else text)
        if one.get("aux"):
            yield one["aux"]


def require_own(ctx: DockerContext, client: Any, container: str) -> None:
    """Refuse a container that no task of this namespace has started, unless that is allowed."""
    if MANAGE in ctx.docker_access.allow:
        return
    labels = client.api.inspect_container(container)["Config"].get("Labels") or {}
    if labels.get(docker_labels.NAMESPACE) != docker_labels.in_label(ctx.namespace):
        raise not_allowed(f"The container {container} was not started by namespace {ctx.namespace}")


def require_manage(ctx: DockerContext, what: str) -> None:
    """Refuse what touches things of others, unless it is allowed."""
    if MANAGE not in ctx.docker_access.allow:
        raise not_allowed(what)


def not_allowed(what: str) -> TaskFailed:
    """The failure of a task that reaches for what is not its own."""
    return TaskFailed(
        f"{what}, which tasks may not touch here unless an administrator allows it with "
        f"`docker: {{allow: [{MANAGE}]}}` in the settings",
        reason="setup",
    )
