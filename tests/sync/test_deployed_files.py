"""Files of namespaces in deploys: sent beside the flows, owned by the same source."""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from tests.sync.test_files import paths
from tests.sync.world import NOON, REGISTRY, World, flow

from penstock_server.api.deployed_files import Deployed, deployed
from penstock_server.api.deploys import read
from penstock_server.cli.files_beside import files_beside
from penstock_server.store import namespace_files
from penstock_server.sync.deploys import Deploy


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, url=f"file://{tmp_path / 'none.git'}")
    yield made
    made.close()


def deploy(
    world: World,
    texts: Mapping[str, str],
    others: Mapping[str, bytes],
    executable: frozenset[str] = frozenset(),
    prune: bool = False,
    **body: Any,
) -> dict[str, Any]:
    """As the web process and core do it together."""
    sent = read(
        {"source": "ci", "ref": "refs/heads/main", **body},
        texts,
        others=others,
        executable=executable,
        storage=world.storage,
        catalogue=REGISTRY,
        actor="ana",
        now=NOON,
        strict=False,
    )
    results: list[Any] = []
    asked = Deploy(source=sent.source, found=sent.found, url=sent.url, prune=prune)
    world.service.apply_files(asked, results.append)
    [result] = results
    assert isinstance(result, dict), result
    return result


def test_files_come_with_the_flows_of_a_deploy_and_belong_to_its_source(world: World) -> None:
    script = {"_files/lib/run.sh": b"#!/bin/sh\n", "README.md": b"passed over"}
    result = deploy(world, {"a.yml": flow("a")}, script, frozenset({"_files/lib/run.sh"}))
    assert result["counts"] == {"added": 2}
    assert paths(world) == {"/lib/run.sh": "#!/bin/sh\n"}
    with world.database.read() as connection:
        [row] = namespace_files.of_namespace(connection, "team")
    assert (row.managed_by, row.executable, row.git_path) == ("ci", True, "_files/lib/run.sh")


def test_what_a_later_deploy_leaves_out_goes_only_with_prune(world: World) -> None:
    files = {"_files/x.txt": b"x", "_files/y.txt": b"y"}
    deploy(world, {"a.yml": flow("a")}, files, commit="a" * 40)
    some = {"_files/x.txt": b"changed"}
    kept = deploy(world, {"a.yml": flow("a")}, some, commit="b" * 40)
    assert kept["counts"] == {"updated": 1, "kept": 1, "unchanged": 1}
    gone = deploy(world, {"a.yml": flow("a")}, some, commit="c" * 40, prune=True)
    assert gone["counts"] == {"pruned": 1, "unchanged": 2}
    assert paths(world) == {"/x.txt": "changed"}


def test_folders_count_from_the_one_that_is_deployed(world: World) -> None:
    texts = {"ci/flows/a.yml": flow("a"), "ci/flows/_files/data.yml": "plain: data\n"}
    deploy(world, texts, {}, folder="ci/flows")
    assert paths(world) == {"/data.yml": "plain: data\n"}
    assert set(world.heads()) == {"a"}


def asked(**given: Any) -> Deployed:
    with Flask("test").test_request_context("/", method="POST", **given):
        return deployed(request)


def test_an_archive_and_a_map_bring_the_same(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, mode in (("./a.yml", 0o644), ("./_files/run.sh", 0o755)):
            info = tarfile.TarInfo(name)
            info.size, info.mode = 2, mode
            packed.addfile(info, io.BytesIO(b"ok"))
        link = tarfile.TarInfo("_files/passwd")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(link)
    one = asked(data={"archive": (io.BytesIO(buffer.getvalue()), "x.tar.gz"), "source": "ci"})
    binaries = {"_files/run.sh": base64.b64encode(b"ok").decode()}
    body = {"source": "ci", "files": {"a.yml": "ok"}, "binaries": binaries}
    other = asked(json={**body, "executable": ["_files/run.sh"]})
    for found in (one, other):
        assert (found.texts, found.others) == ({"a.yml": "ok"}, {"_files/run.sh": b"ok"})
        assert found.executable == {"_files/run.sh"}


def test_the_command_line_takes_the_files_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "checkout" / "flows"
    (folder / "_files" / "lib").mkdir(parents=True)
    (folder / "_files" / "lib" / "run.sh").write_text("ok")
    (folder / "_files" / "lib" / "run.sh").chmod(0o755)
    (folder / "_files" / "out").symlink_to("/etc/passwd")
    found = files_beside(folder, tmp_path / "checkout")
    assert found.folder == "flows"
    assert found.contents == {"flows/_files/lib/run.sh": b"ok"}
    assert found.executable == ("flows/_files/lib/run.sh",)
    assert files_beside(folder / "_files" / "lib" / "run.sh", None).body() == {}
