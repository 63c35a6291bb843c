"""The tasks about Docker, on a real daemon, with a registry of the tests' own."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import commands, job, now, runner
from tests.taskrunners.image_registry import PASSWORD, USER, Registry, registry
from tests.taskrunners.real_docker import IMAGE, TASK_RUNNER, access, client, daemon

pytestmark = pytest.mark.docker


@pytest.fixture
def images() -> Iterator[Registry]:
    with registry() as found:
        yield found


@pytest.fixture
def tag() -> Iterator[str]:
    """A name for an image of one test, which is removed with all it is tagged."""
    name = f"penstock-test-{secrets.token_hex(6)}"
    yield name
    api = client(daemon()).api
    for one in api.images():
        for known in one.get("RepoTags") or ():
            if name in known:
                with contextlib.suppress(Exception):
                    api.remove_image(known, force=True)


def do(folder: Path, kind: str, *allow: str, **properties: Any) -> tuple[dict[str, Any], list[str]]:
    daemon()
    wanted = job({"type": f"io.kestra.plugin.docker.{kind}", "properties": properties})
    with runner(folder, docker=access(allow=frozenset(allow))) as core:
        report = core.do(wanted)
        return report, core.texts(wanted)


def login(images: Registry, **more: str) -> dict[str, str]:
    return {"registry": images.name, "username": USER, "password": PASSWORD, **more}


def test_a_container_runs_with_its_arguments_and_gives_its_files_back(tmp_path: Path) -> None:
    report, said = do(
        tmp_path,
        "Run",
        containerImage=IMAGE,
        pullPolicy="NEVER",
        commands=["/bin/sh", "-c", "cat in.txt; echo $WORD; echo kept > out.txt"],
        inputFiles={"in.txt": "hello\n"},
        env={"WORD": "{{ 'x' | upper }}"},
        outputFiles=["*.txt"],
        memory={"memory": "64MB"},
    )
    assert (report["state"], said) == ("SUCCESS", ["hello", "X"])
    assert sorted(report["outputs"]["outputFiles"]) == ["in.txt", "out.txt"]
    report, _ = do(
        tmp_path, "Run", containerImage=IMAGE, pullPolicy="NEVER", commands=["/bin/false"]
    )
    assert (report["state"], report["exit_code"], report["reason"]) == ("FAILED", 1, "exit")


def test_the_entry_point_of_the_image_stays_unless_another_is_named(
    tmp_path: Path, tag: str
) -> None:
    dockerfile = f'FROM {IMAGE}\nENTRYPOINT ["/bin/echo", "own"]\nCMD ["words"]\n'
    do(tmp_path, "Build", dockerfile=dockerfile, tags=[tag], pull=False)
    asked: dict[str, Any] = {"containerImage": tag, "pullPolicy": "NEVER"}
    assert do(tmp_path, "Run", **asked)[1] == ["own words"]
    assert do(tmp_path, "Run", **asked, commands=["a", "b"])[1] == ["own a b"]
    another = do(tmp_path, "Run", **asked, entryPoint=["/bin/echo"], commands=["x"])
    assert another[1] == ["x"]


def test_an_image_is_built_of_the_files_of_the_task_and_run_by_its_id(
    tmp_path: Path, tag: str
) -> None:
    report, said = do(
        tmp_path,
        "Build",
        dockerfile=f"FROM {IMAGE}\nARG WORD\nCOPY d/hello.txt /hello.txt\n"
        "RUN echo $WORD >> /hello.txt\n",
        tags=[f"{tag}:1", f"{tag}:latest"],
        buildArgs={"WORD": "{{ 6 * 7 }}"},
        labels={"of": "tests"},
        inputFiles={"d/hello.txt": "hello\n"},
    )
    assert report["state"] == "SUCCESS", said
    image = report["outputs"]["imageId"]
    assert image.startswith("sha256:")
    known = client(daemon()).api.inspect_image(f"{tag}:latest")
    assert (known["Id"], known["Config"]["Labels"]["of"]) == (image, "tests")
    report, said = do(tmp_path, "Run", containerImage=image, commands=["/bin/cat", "/hello.txt"])
    assert (report["state"], said) == ("SUCCESS", ["hello", "42"])


def test_a_dockerfile_may_be_a_file_of_the_task_and_a_broken_one_fails(
    tmp_path: Path, tag: str
) -> None:
    files = {"build/Dockerfile": f"FROM {IMAGE}\nRUN exit 3\n"}
    report, said = do(
        tmp_path, "Build", dockerfile="build/Dockerfile", tags=[tag], inputFiles=files, pull=False
    )
    assert report["state"] == "FAILED"
    assert "returned a non-zero code: 3" in report["error"], said
    report, _ = do(tmp_path, "Build", dockerfile="../../etc/passwd", tags=[tag], pull=False)
    assert report["state"] == "FAILED"
    assert "root:" not in report["error"]


def test_a_base_that_cannot_be_pulled_is_used_when_it_is_here_unless_pull_is_said(
    tmp_path: Path, tag: str, images: Registry
) -> None:
    base = f"{images.name}/{tag}-base"
    client(daemon()).api.tag(IMAGE, base)
    dockerfile = f"FROM {base}\n"
    report, said = do(tmp_path, "Build", dockerfile=dockerfile, tags=[tag])
    assert report["state"] == "SUCCESS", said
    assert any("could not be pulled" in text for text in said)
    report, _ = do(tmp_path, "Build", dockerfile=dockerfile, tags=[tag], pull=True)
    assert report["state"] == "FAILED"


def test_images_are_pushed_and_pulled_with_a_login(
    tmp_path: Path, tag: str, images: Registry
) -> None:
    target = f"{images.name}/{tag}:1"
    assert do(tmp_path, "Tag", sourceImage=IMAGE, targetImage=target)[0]["state"] == "SUCCESS"
    report, _ = do(tmp_path, "Push", tags=[target])
    assert report["state"] == "FAILED"
    assert f"The image {target} could not be pushed" in report["error"]
    report, said = do(tmp_path, "Push", tags=[f"https://{target}"], credentials=login(images))
    assert report["state"] == "SUCCESS", said
    assert f"{tag}:1" in images.manifests
    assert PASSWORD not in " ".join(said)

    client(daemon()).api.remove_image(target)
    report, said = do(tmp_path, "Pull", image=target)
    assert (report["state"], "could not be pulled" in report["error"]) == ("FAILED", True)
    report, said = do(tmp_path, "Pull", image=f"{tag}:1", credentials=login(images))
    assert report["state"] == "SUCCESS", said
    found, _ = do(tmp_path, "ImageLs", imageNameFilter=target)
    assert found["outputs"]["count"] == 1
    assert found["outputs"]["images"][0]["repoTags"] == [target]


def test_an_image_is_built_on_a_base_that_asks_for_a_login_and_pushed(
    tmp_path: Path, tag: str, images: Registry
) -> None:
    base, target = f"{images.name}/{tag}-base:1", f"{tag}:2"
    client(daemon()).api.tag(IMAGE, base)
    do(tmp_path, "Push", tags=[base], credentials=login(images))
    client(daemon()).api.remove_image(base)
    report, said = do(
        tmp_path, "Build", dockerfile=f"FROM {base}\nRUN true\n", tags=[target],
        credentials=login(images), push=True, pull=True,
    )  # fmt: skip
    assert report["state"] == "SUCCESS", said
    assert f"{tag}:2" in images.manifests


@pytest.mark.parametrize("form", ["credentials", "config"])
def test_the_task_runner_logs_in_to_the_registry_of_its_image(
    tmp_path: Path, tag: str, images: Registry, form: str
) -> None:
    target = f"{images.name}/{tag}:1"
    client(daemon()).api.tag(IMAGE, target)
    do(tmp_path, "Push", tags=[target], credentials=login(images))
    client(daemon()).api.remove_image(target)
    entry = {"username": USER, "password": PASSWORD}
    given = login(images) if form == "credentials" else {"auths": {images.name: entry}}
    asked = {"type": TASK_RUNNER, "pullPolicy": "ALWAYS"}
    stranger = {"credentials": login(images, registry="other.example.org")}
    with runner(tmp_path, docker=access()) as core:
        right = commands("true", taskRunner={**asked, form: given}, containerImage=target)
        assert core.do(right)["state"] == "SUCCESS", core.texts(right)
        client(daemon()).api.remove_image(target)
        wrong = commands("true", key="w", taskRunner={**asked, **stranger}, containerImage=target)
        assert "could not be pulled" in core.do(wrong)["error"]


def test_what_a_flow_started_it_may_stop_and_nothing_else(tmp_path: Path) -> None:
    asked = {"containerImage": IMAGE, "pullPolicy": "NEVER", "commands": ["/bin/sleep", "600"]}
    report, _ = do(tmp_path, "Run", **asked, wait=False)
    own = report["outputs"]["taskRunner"]["containerId"]
    api = client(daemon()).api
    other = api.create_container(IMAGE, "/bin/true")["Id"]
    try:
        for kind, name in (("Stop", "containerId"), ("Rm", "containerIds")):
            given = other if kind == "Stop" else [other]
            report, _ = do(tmp_path, kind, **{name: given})
            assert (report["state"], report["reason"]) == ("FAILED", "setup")
            assert "docker: {allow: [daemon]}" in report["error"]
        assert do(tmp_path, "Stop", containerId=own, kill=True)[0]["state"] == "SUCCESS"
        until = now().timestamp() + 20
        while api.containers(all=True, filters={"id": own}):
            assert now().timestamp() < until, "the container is still there"
        report, _ = do(tmp_path, "Rm", "daemon", containerIds=[other], force=True)
        assert report["state"] == "SUCCESS"
        assert api.containers(all=True, filters={"id": other}) == []
    finally:
        for left in (own, other):
            with contextlib.suppress(Exception):
                api.remove_container(left, force=True)


def test_a_build_that_is_killed_ends_at_once_and_leaves_no_container(
    tmp_path: Path, tag: str
) -> None:
    found = daemon()
    marker = secrets.token_hex(8)
    dockerfile = f"FROM {IMAGE}\nRUN echo begun; sleep 600; echo {marker}\n"
    asked = {"dockerfile": dockerfile, "tags": [tag], "pull": False}
    wanted = job({"type": "io.kestra.plugin.docker.Build", "properties": asked})
    with runner(tmp_path, docker=access()) as core:
        core.start(wanted)
        core.line("begun")
        core.cancel(wanted)
        assert core.report(wanted)["state"] == "KILLED"
    until = now().timestamp() + 30
    while any(marker in str(one["Command"]) for one in client(found).api.containers()):
        assert now().timestamp() < until, "the build still runs"


def test_pruning_needs_the_word_of_an_administrator(tmp_path: Path) -> None:
    asked = {"pruneType": "CONTAINERS", "labelFilters": ["nobody=has-this"]}
    report, _ = do(tmp_path, "Prune", **asked)
    assert "docker: {allow: [daemon]}" in report["error"]
    report, said = do(tmp_path, "Prune", "daemon", **asked)
    assert (report["state"], said) == ("SUCCESS", ["0 bytes are free again"])


def test_a_container_that_is_not_there_is_named(tmp_path: Path) -> None:
    report, _ = do(tmp_path, "Stop", "daemon", containerId="no-such-container")
    assert report["state"] == "FAILED"
    assert "no-such-container" in report["error"]
