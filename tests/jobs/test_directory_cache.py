"""What a WorkingDirectory keeps from one execution to the next."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.jobs.harness import COMMANDS, job, now, settings
from tests.tasks.test_scripts import Heard

from penstock_runner.jobs.inprocess import InProcess
from penstock_runner.jobs.parts import default_parts
from penstock_runner.jobs.protocol import Report
from penstock_runner.tasks import places
from penstock_runner.tasks.storage import LocalStorage

WORKING_DIRECTORY = "io.kestra.plugin.core.flow.WorkingDirectory"


def run(
    folder: Path, *lines: str, variables: Mapping[str, Any] | None = None, **properties: Any
) -> tuple[Report, list[str]]:
    """One run of a directory with one shell task: its report, and what its log says."""
    child = {"id": "sh", "type": COMMANDS, "properties": {"commands": list(lines)}}
    directory = {
        "type": WORKING_DIRECTORY,
        "kind": WORKING_DIRECTORY,
        "properties": properties,
        "branches": {"tasks": [child]},
    }
    heard = Heard()
    given = job(directory, key="wd", variables=dict(variables or {}))
    report = InProcess(default_parts(settings(folder), now), heard).run(given)
    return report, heard.texts()


def storage(folder: Path) -> LocalStorage:
    return LocalStorage(folder / "storage")


def cached(folder: Path) -> list[str]:
    """The keys that have a cache."""
    return [facts.name for facts in storage(folder).walk(places.named_caches("team.app"))]


PLAIN = {"patterns": ["*.txt"]}


def test_a_changed_file_is_kept_anew_and_an_unchanged_one_is_not(tmp_path: Path) -> None:
    for _ in range(3):
        run(tmp_path, "echo x >> log.txt", cache=PLAIN)
    assert run(tmp_path, "wc -l < log.txt | tr -d ' '", cache=PLAIN)[1] == ["3"]
    uri = places.cache_file("team.app", "build", "wd")
    before = storage(tmp_path).facts(uri).modified
    run(tmp_path, "cat log.txt", cache=PLAIN)
    assert storage(tmp_path).facts(uri).modified == before


def test_a_file_that_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    run(tmp_path, "echo cached > a.txt", cache=PLAIN)
    said = run(tmp_path, "cat a.txt", cache=PLAIN, inputFiles={"a.txt": "given"})[1]
    assert said == ["given"]


def test_a_cache_that_is_too_old_is_dropped(tmp_path: Path) -> None:
    cache = {**PLAIN, "ttl": "PT1H"}
    run(tmp_path, "echo old > a.txt", cache=cache)
    file = tmp_path / "storage" / places.path_of(places.cache_file("team.app", "build", "wd"))[1:]
    old = (now() - timedelta(hours=2)).timestamp()
    os.utime(file, (old, old))
    assert run(tmp_path, "cat a.txt 2>/dev/null || echo none", cache=cache)[1] == ["none"]


def test_nothing_is_kept_after_a_failure(tmp_path: Path) -> None:
    report, _ = run(tmp_path, "echo x > a.txt", "exit 1", cache={**PLAIN, "key": "k"})
    assert report.state == "FAILED"
    assert cached(tmp_path) == []


def test_a_damaged_cache_is_dropped_and_told(tmp_path: Path) -> None:
    uri = places.cache_file("team.app", "build", "wd")
    storage(tmp_path).put_bytes(uri, b"no zip")
    report, _ = run(tmp_path, "echo x > a.txt", cache=PLAIN)
    assert report.state == "SUCCESS"
    assert run(tmp_path, "cat a.txt", cache=PLAIN)[1] == ["x"]


def test_a_cache_keeps_the_bits_that_make_a_program(tmp_path: Path) -> None:
    run(tmp_path, "printf '#!/bin/sh\\necho ran' > a.txt", "chmod +x a.txt", cache=PLAIN)
    assert run(tmp_path, "./a.txt", cache=PLAIN)[1] == ["ran"]


def test_a_key_has_a_cache_of_its_own_that_is_not_written_again(tmp_path: Path) -> None:
    def keyed(key: str, *lines: str) -> list[str]:
        cache = {**PLAIN, "key": "deps-{{ lock }}"}
        return run(tmp_path, *lines, cache=cache, variables={"lock": key})[1]

    keyed("a1", "echo one > a.txt")
    keyed("a1", "echo two > a.txt")
    assert keyed("a1", "cat a.txt") == ["one"]
    assert keyed("b2", "cat a.txt 2>/dev/null || echo none") == ["none"]
    assert cached(tmp_path) == ["deps-a1.zip"]


def test_a_cache_of_a_similar_key_takes_the_place_of_a_missing_one(tmp_path: Path) -> None:
    def keyed(key: str, *lines: str) -> list[str]:
        cache = {**PLAIN, "key": key, "restoreKeys": ["deps-linux-", "deps-"]}
        return run(tmp_path, *lines, cache=cache)[1]

    keyed("deps-mac-1", "echo mac > a.txt")
    keyed("deps-linux-1", "echo first > a.txt")
    keyed("deps-linux-2", "echo second > a.txt")
    assert keyed("deps-linux-3", "cat a.txt") == ["second"]
    assert "deps-linux-3.zip" in cached(tmp_path)
    assert keyed("other", "cat a.txt") == ["second"]


def test_any_text_can_be_a_key(tmp_path: Path) -> None:
    for key in ("../../etc/passwd", "a/b", "ключ", "x" * 200):
        run(tmp_path, "echo kept > a.txt", cache={**PLAIN, "key": key})
        assert run(tmp_path, "cat a.txt", cache={**PLAIN, "key": key})[1] == ["kept"]
    report, _ = run(tmp_path, "true", cache={**PLAIN, "key": "x" * 201})
    assert report.state == "FAILED"
    assert "at most 200 characters" in str(report.error)
    assert run(tmp_path, "true", cache={**PLAIN, "key": "ключ" * 50})[0].state == "FAILED"
    assert not (tmp_path / "etc").exists()


def test_a_time_to_live_that_is_none_is_told(tmp_path: Path) -> None:
    report, _ = run(tmp_path, "true", cache={**PLAIN, "ttl": "soon"})
    assert report.state == "FAILED"
    assert "cache.ttl: 'soon' is not a duration" in str(report.error)
