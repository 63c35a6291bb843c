"""Files made to hurt: names, links, sizes and numbers that no honest task has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import commands, runner
from tests.tasks.test_scripts import run

from penstock_runner.tasks.storage import LocalStorage

GIGABYTE = 1 << 30


def outputs(folder: Path, *lines: str, patterns: list[str], **more: Any) -> dict[str, str]:
    """The output files of one run over a real runner, by name."""
    wanted = commands(*lines, outputFiles=patterns, **more)
    with runner(folder) as core:
        report = core.do(wanted)
        assert report["state"] == "SUCCESS", core.texts(wanted)
    kept: dict[str, str] = report["outputs"]["outputFiles"]
    return kept


def test_names_in_any_script_are_kept(tmp_path: Path) -> None:
    kept = outputs(
        tmp_path,
        "mkdir -p 'папка/文件'",
        "echo one > 'папка/文件/ä ö.txt'",
        "echo two > '🙂.txt'",
        'echo three > "quote\'s \\"x\\".txt"',
        patterns=["**.txt"],
    )
    assert sorted(kept) == sorted(["папка/文件/ä ö.txt", "🙂.txt", 'quote\'s "x".txt'])
    storage = LocalStorage(tmp_path / "storage")
    assert storage.read_bytes(kept["папка/文件/ä ö.txt"]) == b"one\n"


def test_names_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    kept = outputs(
        tmp_path,
        r"""touch "$(printf 'a\377b.txt')" "$(printf 'c\nd.txt')" good.txt""",
        patterns=["*.txt"],
    )
    assert "good.txt" in kept
    assert len(kept) == 3
    assert all(name.encode() for name in kept)


def test_equal_names_in_many_folders_are_different_files(tmp_path: Path) -> None:
    kept = outputs(
        tmp_path,
        "for d in a b c; do mkdir $d; echo $d > $d/same.txt; done",
        patterns=["**/same.txt"],
    )
    storage = LocalStorage(tmp_path / "storage")
    read = {name: storage.read_bytes(uri) for name, uri in kept.items()}
    assert read == {"a/same.txt": b"a\n", "b/same.txt": b"b\n", "c/same.txt": b"c\n"}


def test_ten_thousand_files_are_kept(tmp_path: Path) -> None:
    kept = outputs(tmp_path, "seq 10000 | xargs touch", patterns=["[0-9]*"])
    assert len(kept) == 10_000


def test_a_gigabyte_is_kept_without_being_read_into_memory(tmp_path: Path) -> None:
    kept = outputs(tmp_path, f"truncate -s {GIGABYTE} big.bin", patterns=["*.bin"])
    assert LocalStorage(tmp_path / "storage").facts(kept["big.bin"]).size == GIGABYTE


def test_links_out_of_the_working_directory_are_refused_and_told(tmp_path: Path) -> None:
    wanted = commands(
        "ln -s /etc/passwd one.txt",
        "ln -s ../../../../../../../../etc/passwd two.txt",
        "ln -s / root",
        "ln -s two.txt three.txt",
        "ln -s loop.txt loop.txt",
        "echo x > real.txt && ln -s real.txt alias.txt",
        outputFiles=["*.txt", "root/etc/passwd", "root/**"],
    )
    with runner(tmp_path) as core:
        report = core.do(wanted)
        said = core.texts(wanted)
    assert sorted(report["outputs"]["outputFiles"]) == ["alias.txt", "real.txt"]
    for name in ("one.txt", "two.txt", "three.txt", "root/etc/passwd"):
        assert any(name in line and "leaves the working directory" in line for line in said)


def test_a_hard_link_to_a_file_elsewhere_does_not_take_that_file_away(tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("of somebody else")
    other.chmod(0o640)
    kept = outputs(tmp_path, f"ln {other} mine.txt", patterns=["mine.txt"])
    assert other.read_text() == "of somebody else"
    assert other.stat().st_mode & 0o777 == 0o640
    stored = LocalStorage(tmp_path / "storage")
    other.write_text("changed")
    assert stored.read_bytes(kept["mine.txt"]) == b"of somebody else"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        *((name, "inside the current") for name in ("../x", "a/../../x", "/etc/penstock-x", ".")),
        *((name, "is no name for a file") for name in ("a\0b", "x" * 300, "a/" * 2000 + "x")),
    ],
)
def test_input_files_with_such_names_fail_the_task_and_write_nothing(
    tmp_path: Path, name: str, told: str
) -> None:
    report = run(tmp_path, "shell.Commands", commands=["true"], inputFiles={name: "text"})
    assert report.state == "FAILED"
    assert told in str(report.error)
    assert not Path("/etc/penstock-x").exists()
    assert not (tmp_path / "work" / "x").exists()


def test_input_files_of_any_script_and_shape_arrive(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        "shell.Commands",
        inputFiles={"папка/ä ö 🙂.txt": "привет", "-rf": "x", "a b/c.txt": "y"},
        commands=["cat 'папка/ä ö 🙂.txt' ./-rf 'a b/c.txt' > all.txt"],
        outputFiles=["all.txt"],
    )
    assert report.outputs is not None
    uri = report.outputs["outputFiles"]["all.txt"]
    assert LocalStorage(tmp_path / "storage").read_bytes(uri).decode() == "привет" + "xy"


def test_no_address_leads_out_of_the_storage(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    for text in ("kestra:///../secret.txt", "kestra:///a/../../secret.txt"):
        report = run(tmp_path, "shell.Commands", commands=[f"cat {text}"])
        assert report.state == "FAILED"
        assert "relative '..' path" in str(report.error)
    encoded = run(tmp_path, "shell.Commands", commands=["cat kestra:///%2e%2e/secret.txt"])
    assert encoded.state == "FAILED"


def test_an_output_that_is_exchanged_for_a_link_while_the_task_ends_is_not_followed(
    tmp_path: Path,
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    storage = LocalStorage(tmp_path / "storage")
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "secret.txt")
    with pytest.raises(OSError, match="link"):
        storage.put_file("kestra:///a/b", link, move=True)
    assert not storage.exists("kestra:///a/b")
