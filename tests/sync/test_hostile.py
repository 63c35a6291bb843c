"""Hostile repositories through a real fetch: files are refused by name, and nothing gets out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dulwich.objects import ObjectID
from tests.git_http import FILE, FOLDER, LINK, MODULE, GitServer, Repository, serve_git
from tests.sync.trees import INCLUDE, LIMITS
from tests.sync.world import REGISTRY, flow

from penstock_runner.tasks.storage import LocalStorage
from penstock_server.sync.look import look

MIB = 1 << 20
Made = Callable[[Repository], ObjectID]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "served" / "flows.git")


@pytest.fixture
def server(tmp_path: Path, repository: Repository) -> Iterator[GitServer]:
    with serve_git(tmp_path / "served") as running:
        yield running


def looked(folder: Path, server: GitServer, repository: Repository, **more: Any) -> dict[str, Any]:
    described = {"id": "main", "url": server.url_of(repository), "ref_kind": "branch"}
    described |= {"ref": "HEAD", "include": INCLUDE, "limits": LIMITS, **more}
    home = folder / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    storage = LocalStorage(home / "storage")
    return look({"source": described}, home / "bare", REGISTRY, storage)


def told(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """Path and code of all that is said, errors and notes."""
    found = [one for file in answer["files"] for one in file["faults"]] + answer["notes"]
    return sorted((one["path"], one["code"]) for one in found)


def flows(answer: dict[str, Any]) -> list[str]:
    return [item["id"] for file in answer["files"] for item in file["items"]]


def outside(folder: Path) -> set[str]:
    """Everything below a folder but what the look may write."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return {path for path in found if not path.startswith("home")}


def named(name: bytes) -> Made:
    """A tree with one good flow and a flow of that name."""

    def made(repository: Repository) -> ObjectID:
        good = repository.blob(flow("good").encode())
        evil = repository.blob(flow("evil").encode())
        return repository.tree(*sorted([(b"good.yml", FILE, good), (name, FILE, evil)]))

    return made


def below(folder: bytes) -> Made:
    """A tree with one good flow and a flow in a folder of that name."""

    def made(repository: Repository) -> ObjectID:
        good = repository.blob(flow("good").encode())
        evil = repository.blob(flow("evil").encode())
        inner = repository.tree((b"evil.yml", FILE, evil))
        return repository.tree(*sorted([(b"good.yml", FILE, good), (folder, FOLDER, inner)]))

    return made


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(below(b".."), id="above"),
        pytest.param(below(b"."), id="here"),
        pytest.param(below(b".git"), id="git"),
        pytest.param(below(b".GIT"), id="git-capitals"),
        pytest.param(below(b".git. "), id="git-dots-and-blanks"),
        pytest.param(below(b"git~1"), id="git-short-name"),
        pytest.param(below(b".g\xe2\x80\x8cit"), id="git-invisible"),
        pytest.param(named(b"../../evil.yml"), id="way-out-in-a-name"),
        pytest.param(named(b"/etc/evil.yml"), id="absolute"),
        pytest.param(named(b"a\\..\\evil.yml"), id="backslashes"),
        pytest.param(named(b"new\nline.yml"), id="new-line"),
        pytest.param(named(b"\x1b[2Jevil.yml"), id="escape"),
        pytest.param(named(b"\xff\xfe.yml"), id="not-utf-8"),
        pytest.param(named(b"x" * 65_536 + b".yml"), id="64-kib"),
    ],
)
def test_a_name_that_lies_is_an_error_and_nothing_is_written_there(
    tmp_path: Path, repository: Repository, server: GitServer, made: Made
) -> None:
    repository.commit_tree(made(repository))
    before = outside(tmp_path)
    answer = looked(tmp_path, server, repository)
    assert answer["type"] == "found", answer
    assert flows(answer) == ["good"]
    assert [code for _, code in told(answer)] == ["BAD_PATH"]
    assert all(path.isprintable() and len(path) < 2000 for path, _ in told(answer))
    assert outside(tmp_path) == before


def test_a_path_of_many_folders_is_an_error_and_no_recursion(
    tmp_path: Path, repository: Repository, server: GitServer
) -> None:
    tree = repository.tree((b"evil.yml", FILE, repository.blob(flow("evil").encode())))
    for _ in range(400):
        tree = repository.tree((b"folder", FOLDER, tree))
    good = repository.blob(flow("good").encode())
    repository.commit_tree(repository.tree((b"folder", FOLDER, tree), (b"good.yml", FILE, good)))
    answer = looked(tmp_path, server, repository)
    assert (flows(answer), {code for _, code in told(answer)}) == (["good"], {"BAD_PATH"})


@pytest.mark.parametrize("symlinks", ["skip", "inside"])
def test_no_link_leads_out_of_the_tree(
    tmp_path: Path, repository: Repository, server: GitServer, symlinks: str
) -> None:
    secret = tmp_path / "secret.yml"
    secret.write_text(flow("secret"))
    repository.commit_tree(
        repository.tree(
            (b"_files", LINK, repository.blob(b"/etc")),
            (b"folder", LINK, repository.blob(str(tmp_path).encode())),
            (b"good.yml", FILE, repository.blob(flow("good").encode())),
            (b"host.yml", LINK, repository.blob(str(secret).encode())),
            (b"loop.yml", LINK, repository.blob(b"loop.yml")),
            (b"passwd.yml", LINK, repository.blob(b"/etc/passwd")),
            (b"up.yml", LINK, repository.blob(b"../../../etc/passwd")),
        )
    )
    answer = looked(tmp_path, server, repository, symlinks=symlinks)
    assert flows(answer) == ["good"]
    assert {code for _, code in told(answer)} == {"SYMLINK_SKIPPED"}
    assert "root:" not in json.dumps(answer)
    assert not any("file" in file for file in answer["files"])


def test_a_submodule_a_pointer_and_an_odd_mode_are_said(
    tmp_path: Path, repository: Repository, server: GitServer
) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    good = repository.blob(flow("good").encode())
    repository.commit_tree(
        repository.tree(
            (b"good.yml", FILE, good),
            (b"lfs.yml", FILE, repository.blob(pointer)),
            (b"odd.yml", 0o100666, good),
            (b"sub.yml", MODULE, ObjectID(b"1" * 40)),
        )
    )
    answer = looked(tmp_path, server, repository)
    assert flows(answer) == ["good"]
    assert ("lfs.yml", "LFS_POINTER") in told(answer)
    assert ("sub.yml", "SUBMODULE_SKIPPED") in told(answer)
    assert "odd.yml" in {path for path, _ in told(answer)}


def test_a_bomb_of_aliases_is_an_error_of_its_file(
    tmp_path: Path, repository: Repository, server: GitServer
) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    bomb = "id: bomb\nnamespace: team\n" + "\n".join(lines) + "\ntasks: *a9\n"
    repository.commit({"bomb.yml": bomb, "good.yml": flow("good")})
    answer = looked(tmp_path, server, repository)
    assert flows(answer) == ["good"]
    assert {path for path, _ in told(answer)} == {"bomb.yml"}


@pytest.mark.parametrize("filters", [True, False], ids=["filters", "no-filters"])
def test_a_file_of_200_mb_is_named_and_takes_no_memory(
    tmp_path: Path, repository: Repository, server: GitServer, filters: bool
) -> None:
    """In a process of its own, as a look is; what it takes is measured there."""
    repository.commit({"big.yml": bytes(200 * MIB), "good.yml": flow("good")})
    repository.files.clear()
    server.filters = filters
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the parent
            before = memory("VmRSS")
            answer = looked(tmp_path, server, repository)
            grown = memory("VmHWM") - before
            os.write(writing, json.dumps([flows(answer), told(answer), grown]).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        found, said, grown = json.loads(pipe.read())
    assert os.waitpid(child, 0)[1] == 0
    assert (found, said) == (["good"], [["big.yml", "FILE_TOO_BIG"]])
    assert grown < 60 * MIB


def memory(name: str) -> int:
    """A number of the status of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [line] = [one for one in lines if one.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024
