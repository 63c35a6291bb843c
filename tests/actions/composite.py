"""Runs a composite action as GitHub's runner does: its steps with bash, values only by `env`.

Only what our actions use is understood: `${{ inputs.x }}` and `${{ steps.y.outputs.z }}` in `env`
and in the values of outputs. An expression in the text of a script is refused: it would be run.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ACTIONS = Path(__file__).parents[2] / ".github" / "actions"
EXPRESSION = re.compile(r"\$\{\{\s*(?P<path>[\w.-]+)\s*\}\}")
SECONDS = 120
OURS = ("PENSTOCK_", "KESTRA_", "SECRET_", "ENV_", "GITHUB_", "CI_", "INPUT_")


class Unsafe(Exception):
    """A script that would run what an input says."""


@dataclass(slots=True, kw_only=True)
class Ended:
    """How an action ended."""

    code: int = 0
    said: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""

    @property
    def commands(self) -> list[str]:
        """The workflow commands that it printed."""
        return [line for line in self.said.splitlines() if line.startswith("::")]


def read(name: str) -> dict[str, Any]:
    """An action, checked against the rules that hold for all of ours."""
    action: dict[str, Any] = yaml.safe_load((ACTIONS / name / "action.yml").read_text("utf-8"))
    assert action["runs"]["using"] == "composite"
    for step in action["runs"]["steps"]:
        if "uses" in step:
            assert re.search(r"@[0-9a-f]{40}$", step["uses"]), "pin other actions by commit"
            continue
        if "${{" in step["run"] or "${{" in str(step.get("working-directory", "")):
            raise Unsafe(f"{name}: the script of {step['name']!r} holds an expression")
        assert step["shell"] == "bash"
        assert step["run"].startswith("set -euo pipefail\n")
    return action


def run_action(
    name: str, inputs: Mapping[str, str], *, workspace: Path, temp: Path, **environment: str
) -> Ended:
    """Run all steps of an action until one fails."""
    action = read(name)
    known = {key: str(spec.get("default", "")) for key, spec in action["inputs"].items()}
    unknown = set(inputs) - set(known)
    assert not unknown, f"{name} has no inputs {unknown}"
    values = {f"inputs.{key}": value for key, value in (known | dict(inputs)).items()}
    temp.mkdir(exist_ok=True)
    ended = Ended()
    for step in action["runs"]["steps"]:
        given = {key: evaluated(str(text), values) for key, text in step.get("env", {}).items()}
        outputs, summary, path = temp / "outputs", temp / "summary", temp / "path"
        outputs.write_text("")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            env={
                **inherited,
                "GITHUB_ACTIONS": "true",
                "GITHUB_ACTION_PATH": str(ACTIONS / name),
                "GITHUB_OUTPUT": str(outputs),
                "GITHUB_STEP_SUMMARY": str(summary),
                "GITHUB_PATH": str(path),
                "RUNNER_TEMP": str(temp),
                **environment,
                **given,
            },
            cwd=workspace,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        ended.said += done.stdout
        found = heredocs(outputs.read_text("utf-8"))
        values |= {f"steps.{step.get('id')}.outputs.{key}": text for key, text in found.items()}
        ended.summary = summary.read_text("utf-8") if summary.exists() else ""
        if done.returncode != 0:
            ended.code = done.returncode
            break
    declared = action.get("outputs", {}).items()
    ended.outputs = {key: evaluated(spec["value"], values) for key, spec in declared}
    return ended


def evaluated(text: str, values: Mapping[str, str]) -> str:
    """A value with its expressions replaced; one that is not there is empty."""
    found = EXPRESSION.sub(lambda match: values.get(match["path"], ""), text)
    assert "${{" not in EXPRESSION.sub("", text), f"this expression is not understood: {text}"
    return found


def heredocs(text: str) -> dict[str, str]:
    """The outputs of a step, read as GitHub reads them."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, arrow, mark = line.partition("<<")
        assert arrow, f"not an output: {line!r}"
        value: list[str] = []
        for inner in lines:
            if inner == mark:
                break
            value.append(inner)
        else:
            raise AssertionError(f"the output {name} does not end")
        found[name] = "\n".join(value)
    return found
