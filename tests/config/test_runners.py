"""What the settings of runners become."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from penstock_server.app.runners import runners_of
from penstock_server.config import BadSettings, Told, read_settings

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
