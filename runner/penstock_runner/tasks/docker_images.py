"""Tasks about the images of a Docker daemon: build, pull, push, tag, list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import Outputs, Raw, TaskFailed, task
from penstock_runner.tasks.docker_daemon import DockerContext, DockerProperties, calling, follow

DOCKERFILE = "penstock.dockerfile"


@task("io.kestra.plugin.docker.Build", aliases=["io.kestra.plugin.docker.cli.Build"])
class Build(DockerProperties):
    """Build an image from the files of the task; `dockerfile` is a text, or a path to a file."""

    dockerfile: Annotated[str, Raw()]
    tags: list[str]
    platforms: Annotated[list[str], Field(default_factory=list)]
    push: bool = False
    pull: bool | None = None
    no_cache: bool = False
    build_args: Annotated[Mapping[str, str], Field(default_factory=dict)]
    labels: Annotated[Mapping[str, str], Field(default_factory=dict)]
    namespace_files: Annotated[Mapping[str, object] | None, Raw()] = None
    input_files: Annotated[object, Raw()] = None

    def run(self, ctx: DockerContext) -> Outputs:
        """Build, tag and perhaps push; the output is `imageId`."""
        if not self.tags:
            raise TaskFailed("`tags` is empty: name the image that is built")
        if len(self.platforms) > 1:
            raise TaskFailed(
                f"`platforms` has {len(self.platforms)} entries: the daemon builds for one, so "
                "write one task for each"
            )
        ctx.place_files(namespace_files=self.namespace_files, input_files=self.input_files)
        with calling(ctx, self) as client, _dockerfile(ctx, self.dockerfile) as name:
            tags = [self.named(_without_scheme(tag)) for tag in self.tags]
            image = self._built(ctx, client, name, tags)
            for tag in tags[1:]:
                _tag(client, image, tag)
            for tag in tags if self.push else ():
                _push(ctx, client, tag, self.login(tag))
        return {"imageId": image}

    def _built(self, ctx: DockerContext, client: Any, dockerfile: str, tags: list[str]) -> str:
        """The id of the image; a base that cannot be pulled may be there, unless `pull` is said."""
        from penstock_runner.taskrunners.docker_client import log_in

        with log_in(client, tags[0], self.login(tags[0])):
            try:
                return self._build(ctx, client, dockerfile, tags[0], pull=self.pull is not False)
            except _BaseNotPulled as failed:
                if self.pull is not None:
                    raise TaskFailed(str(failed)) from None
                ctx.log(
                    Level.WARN,
                    f"The base of the image could not be pulled ({failed}); the one that is here "
                    "is used. `pull: false` does not ask the registry",
                )
            try:
                return self._build(ctx, client, dockerfile, tags[0], pull=False)
            except _BaseNotPulled as failed:
                raise TaskFailed(str(failed)) from None

    def _build(
        self, ctx: DockerContext, client: Any, dockerfile: str, tag: str, *, pull: bool
    ) -> str:
        said = client.api.build(
            path=str(ctx.workspace),
            dockerfile=dockerfile,
            tag=tag,
            buildargs={key: str(value) for key, value in self.build_args.items()},
            labels={key: str(value) for key, value in self.labels.items()} or None,
            platform=self.platforms[0] if self.platforms else None,
            pull=pull,
            nocache=self.no_cache,
            rm=True,
            forcerm=True,
            decode=True,
        )
        begun = False
        try:
            for found in follow(ctx, said, f"The image {tag} could not be built"):
                begun = begun or "ID" in found
        except TaskFailed as failed:
            if pull and not begun and _about_the_base(str(failed)):
                raise _BaseNotPulled(str(failed)) from None
            raise
        return str(client.api.inspect_image(tag)["Id"])


class _BaseNotPulled(Exception):
    """The image that a build begins with could not be pulled."""


def _about_the_base(words: str) -> bool:
    text = words.lower()
    return any(
        sign in text
        for sign in ("pull access denied", "manifest", "registry", "dial tcp", "lookup", "pinging")
    )


@task("io.kestra.plugin.docker.Pull", aliases=["io.kestra.plugin.docker.cli.Pull"])
class Pull(DockerProperties):
    """Pull an image from its registry."""

    image: str

    def run(self, ctx: DockerContext) -> Outputs:
        """Pull, layer by layer."""
        image = self.named(self.image)
        what = f"The image {image} could not be pulled"
        with calling(ctx, self, what) as client:
            repository, tag = _split(image)
            said = client.api.pull(
                repository,
                tag=tag,
                stream=True,
                decode=True,
                auth_config=self.login(image) or None,
            )
            list(follow(ctx, said, what))
        return {}


@task("io.kestra.plugin.docker.Push", aliases=["io.kestra.plugin.docker.cli.Push"])
class Push(DockerProperties):
    """Push images to their registries."""

    tags: list[str]

    def run(self, ctx: DockerContext) -> Outputs:
        """Push one tag after the other."""
        if not self.tags:
            raise TaskFailed("`tags` is empty: at least one tag must be provided")
        with calling(ctx, self) as client:
            for tag in dict.fromkeys(map(_without_scheme, self.tags)):
                _push(ctx, client, tag, self.login(tag))
        return {}


@task("io.kestra.plugin.docker.Tag", aliases=["io.kestra.plugin.docker.cli.Tag"])
class Tag(DockerProperties):
    """Give an image one more name."""

    source_image: str
    target_image: str

    def run(self, ctx: DockerContext) -> Outputs:
        """Tag the image."""
        with calling(ctx, self, f"The image {self.source_image} could not be tagged") as client:
            _tag(client, self.source_image, self.target_image)
        return {}


@task("io.kestra.plugin.docker.ImageLs", aliases=["io.kestra.plugin.docker.cli.ImageLs"])
class ImageLs(DockerProperties):
    """List the images of the daemon; the outputs are `images` and `count`."""

    show_all: bool = False
    image_name_filter: str | None = None
    label_filter: Annotated[Mapping[str, str], Field(default_factory=dict)]

    def run(self, ctx: DockerContext) -> Outputs:
        """List what fits."""
        filters: dict[str, Any] = {}
        if self.image_name_filter:
            filters["reference"] = self.image_name_filter
        if self.label_filter:
            filters["label"] = [f"{key}={value}" for key, value in self.label_filter.items()]
        with calling(ctx, self) as client:
            found = client.api.images(all=self.show_all, filters=filters)
        images = [
            {
                "id": one["Id"],
                "repoTags": one.get("RepoTags") or [],
                "repoDigests": one.get("RepoDigests") or [],
                "size": one.get("Size"),
                "created": one.get("Created"),
                "labels": one.get("Labels") or {},
            }
            for one in found
        ]
        return {"images": images, "count": len(images)}


def _push(ctx: DockerContext, client: Any, tag: str, login: Mapping[str, Any]) -> None:
    repository, version = _split(tag)
    said = client.api.push(
        repository, tag=version, stream=True, decode=True, auth_config=dict(login) or None
    )
    list(follow(ctx, said, f"The image {tag} could not be pushed"))


def _tag(client: Any, image: str, name: str) -> None:
    repository, tag = _split(name)
    client.api.tag(image, repository, tag, force=True)


def _split(image: str) -> tuple[str, str | None]:
    """The repository and the tag of an image's name; `latest` unless it names a digest."""
    repository, colon, tag = image.rpartition(":")
    if "@" in image:
        return image, None
    return (repository, tag) if colon and "/" not in tag else (image, "latest")


def _without_scheme(tag: str) -> str:
    return tag.rpartition("://")[2]


@contextmanager
def _dockerfile(ctx: DockerContext, written: str) -> Iterator[str]:
    """The name of the Dockerfile in the working directory; one made of a text goes again."""
    text = ctx.localise(str(ctx.render(written)))
    folder = ctx.workspace.resolve()
    if "\n" not in text.strip() and _is_file(folder, text.strip()):
        yield text.strip()
        return
    path = ctx.write_file(DOCKERFILE, text)
    try:
        yield DOCKERFILE
    finally:
        path.unlink(missing_ok=True)


def _is_file(folder: Path, name: str) -> bool:
    path = (folder / name).resolve()
    return path.is_relative_to(folder) and path.is_file()
