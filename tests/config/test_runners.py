"""What the settings of runners become."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock_runner.flow.routing import good_label
from penstock_runner.jobs.offers import labels_of
from penstock_server.app.runners import runners_of
from penstock_server.config import BadSettings, Told, read_settings
from penstock_server.core.customs import customs_of
from penstock_server.sync.declared import DeclaredSource
from penstock_server.sync.settings import SourceSettings

PROXY = {"https_proxy": "http://proxy:3128", "SECRET_A": "aGVsbG8=", "MINE": "1"}


def told(folder: Path, text: str, **environment: str) -> Told:
    (folder / "penstock.yaml").write_text(text)
    ours = {"PENSTOCK_HOME": str(folder / "home"), "PENSTOCK_RUNNER_USER": str(os.geteuid())}
    given: dict[str, Any] = {**PROXY, **environment, **ours}
    return read_settings(environment=given, folder=folder)


def test_a_further_runner_is_like_the_first_but_for_what_it_says(tmp_path: Path) -> None:
    text = "runner: {slots: 3, labels: [cpu]}\nrunners: [{name: gpu, labels: [gpu]}]\n"
    first, second = runners_of(told(tmp_path, text), 8080).values()
    assert (first.name, first.slots, first.labels) == ("local", 3, ("cpu",))
    assert (second.name, second.slots, second.labels) == ("gpu", 3, ("gpu",))
    assert first.workspaces != second.workspaces
    assert first.workspaces not in second.workspaces.parents


def test_runners_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="a `name` of its own"):
        told(tmp_path, "runners: [{labels: [gpu]}]\n")


@pytest.mark.parametrize("passed", [True, False])
def test_jobs_learn_of_a_proxy_when_the_settings_say_so(tmp_path: Path, *, passed: bool) -> None:
    text = f"runner: {{passProxy: {str(passed).lower()}, passEnv: [MINE, SECRET_A]}}\n"
    [runner] = runners_of(told(tmp_path, text), 8080).values()
    assert ("https_proxy" in runner.environment) is passed
    assert runner.environment["MINE"] == "1"
    assert "SECRET_A" not in runner.environment


def test_a_runner_offers_what_can_be_seen_of_its_machine(tmp_path: Path) -> None:
    [runner] = runners_of(told(tmp_path, "runner: {labels: [GPU, region=eu]}\n"), 8080).values()
    offered = labels_of(replace(runner, docker=replace(runner.docker, enabled=False)))
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    python = f"python={sys.version_info.major}.{sys.version_info.minor}"
    assert {"gpu", "region=eu", "self-hosted", "linux", "os=linux", machine} <= set(offered)
    assert {f"arch={machine}", "process", python} <= set(offered)
    assert any(one.startswith("hostname=") for one in offered)
    assert all(good_label(one) for one in offered)
    assert "docker" not in offered


def test_a_runner_is_told_whom_it_is_for_and_how_it_ends(tmp_path: Path) -> None:
    text = "runner: {namespaces: prod.*, protected: true, drain: PT5M, lease: PT20S}\n"
    [runner] = runners_of(told(tmp_path, text), 8080).values()
    assert (runner.namespaces, runner.protected) == (("prod.*",), True)
    assert (runner.limits.drain, runner.limits.beat) == (300, 5)


def test_the_nearest_namespace_says_what_holds_for_its_jobs(tmp_path: Path) -> None:
    text = (
        "runner:\n  namespaceDefaults:\n    prod: {runsOn: [Big], onRunnerLost: FAIL}\n"
        "    prod.web: gpu\n    dev: [small, cheap]\n"
    )
    customs = customs_of(told(tmp_path, text).settings)
    said = {name: customs.namespace(name) for name in ("prod.a", "prod.web.x", "dev", "other")}
    assert {name: (one.runs_on, one.on_runner_lost) for name, one in said.items()} == {
        "prod.a": (("big",), "FAIL"),
        "prod.web.x": (("gpu",), "FAIL"),
        "dev": (("small", "cheap"), None),
        "other": (None, None),
    }


@pytest.mark.parametrize(
    "text",
    [
        "runner: {labels: [two words]}",
        "runner: {namespaceDefaults: {prod: [two words]}}",
        "runner: {namespaceDefaults: {prod: {onRunnerLost: MAYBE}}}",
        "runner: {lease: PT0S}",
        "runner: {drain: soon}",
    ],
)
def test_what_a_runner_cannot_be_told_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSettings):
        told(tmp_path, f"{text}\n")


@pytest.mark.parametrize(
    ("commit", "protected"),
    [
        (None, False),
        ({"source": "flows", "ref": "refs/heads/main"}, True),
        ({"source": "flows", "ref": "refs/heads/release/1.2"}, True),
        ({"source": "flows", "ref": "refs/tags/release/1"}, True),
        ({"source": "flows", "ref": "refs/pull/12/head"}, False),
        ({"source": "flows", "ref": "refs/heads/main2"}, False),
        ({"source": "another", "ref": "refs/heads/main"}, False),
        ({"source": "declared", "ref": "refs/heads/main"}, False),
    ],
)
def test_only_the_settings_make_a_ref_a_protected_one(
    tmp_path: Path, commit: dict[str, Any] | None, *, protected: bool
) -> None:
    refs = {"url": "https://git.test/flows", "protected_refs": ("main", "release/*")}
    sources = {
        "flows": SourceSettings.model_validate({"id": "flows", **refs}),
        "declared": DeclaredSource.model_validate({"id": "declared", **refs}),
    }
    customs = customs_of(told(tmp_path, "{}").settings, sources.get)
    assert customs.protected(commit) is protected
