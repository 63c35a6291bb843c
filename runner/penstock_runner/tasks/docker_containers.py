"""Tasks about the containers of a Docker daemon, and about what lies around on it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import Outputs, task
from penstock_runner.tasks.docker_daemon import (
    DockerContext,
    DockerProperties,
    calling,
    require_manage,
    require_own,
)


@task("io.kestra.plugin.docker.Stop", aliases=["io.kestra.plugin.docker.cli.Stop"])
class Stop(DockerProperties):
    """Stop a container, or kill it, and remove it."""

    container_id: str
    kill: bool = False
    delete: bool = True

    def run(self, ctx: DockerContext) -> Outputs:
        """Stop it; one that is removed at its end may be gone before it is asked for."""
        from penstock_runner.taskrunners.docker_client import discard

        with calling(ctx, self) as client:
            require_own(ctx, client, self.container_id)
            if self.kill:
                client.api.kill(self.container_id)
            else:
                client.api.stop(self.container_id)
            if self.delete:
                discard(client, self.container_id)
        return {}


@task("io.kestra.plugin.docker.Rm", aliases=["io.kestra.plugin.docker.cli.Rm"])
class Rm(DockerProperties):
    """Remove containers and images."""

    container_ids: Annotated[list[str], Field(default_factory=list)]
    image_ids: Annotated[list[str], Field(default_factory=list)]
    remove_volumes: bool = False
    force: bool = False

    def run(self, ctx: DockerContext) -> Outputs:
        """Remove one after the other."""
        if self.image_ids:
            require_manage(ctx, "Images are of all that use the daemon")
        with calling(ctx, self) as client:
            for container in self.container_ids:
                require_own(ctx, client, container)
                client.api.remove_container(container, v=self.remove_volumes, force=self.force)
            for image in self.image_ids:
                client.api.remove_image(image, force=self.force)
        return {}


@task("io.kestra.plugin.docker.Prune", aliases=["io.kestra.plugin.docker.cli.Prune"])
class Prune(DockerProperties):
    """Remove what nobody uses from the daemon."""

    prune_type: Literal["BUILD", "CONTAINERS", "IMAGES", "NETWORKS", "VOLUMES"]
    dangling: bool = False
    until: str | None = None
    label_filters: Annotated[list[str], Field(default_factory=list)]

    def run(self, ctx: DockerContext) -> Outputs:
        """Prune, and tell the log how much room that made."""
        require_manage(ctx, "Pruning removes things of all that use the daemon")
        filters: dict[str, Any] = {}
        if self.label_filters:
            filters["label"] = list(self.label_filters)
        if self.until and self.prune_type != "VOLUMES":
            filters["until"] = self.until
        with calling(ctx, self) as client:
            gone = self._pruned(client.api, filters)
        ctx.log(Level.INFO, f"{gone.get('SpaceReclaimed') or 0} bytes are free again")
        return {}

    def _pruned(self, api: Any, filters: dict[str, Any]) -> dict[str, Any]:
        match self.prune_type:
            case "BUILD":
                return dict(api.prune_builds(filters=filters) or {})
            case "CONTAINERS":
                return dict(api.prune_containers(filters) or {})
            case "IMAGES":
                return dict(api.prune_images({**filters, "dangling": self.dangling}) or {})
            case "NETWORKS":
                return dict(api.prune_networks(filters) or {})
            case "VOLUMES":
                return dict(api.prune_volumes(filters) or {})
