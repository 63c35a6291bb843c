"""Script tasks in one process: what is run, and what comes back."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import job, now, settings

from penstock_runner.jobs.inprocess import InProcess
from penstock_runner.jobs.parts import default_parts
from penstock_runner.jobs.protocol import Job, JobId, Report
from penstock_runner.taskrunners.docker_access import DockerAccess
from penstock_runner.tasks import places
from penstock_runner.tasks.storage import LocalStorage

LANGUAGES = {
    "node": ("console.log('hello ' + 6 * 7)", "node"),
    "perl": ("print 'hello ', 6 * 7, \"\\n\";", "perl"),
    "ruby": ('puts "hello #{6 * 7}"', "ruby"),
    "php": ("<?php echo 'hello ' . 6 * 7;", "php"),
    "lua": ("print('hello ' .. 6 * 7)", "lua"),
    "r": ("cat('hello', 6 * 7)", "Rscript"),
    "bun": ("console.log('hello ' + 6 * 7)", "bun"),
    "deno": ("console.log('hello ' + 6 * 7)", "deno"),
    "julia": ('println("hello $(6 * 7)")', "julia"),
    "go": (
        'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello", 6*7) }\n',
        "go",
    ),
    "rust": ('fn main() { println!("hello {}", 6 * 7); }', "rustc"),
    "powershell": ('Write-Output "hello $(6 * 7)"', "pwsh"),
}


class Heard:
    """Keeps what a job says."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def lines(self, job: JobId, lines: list[list[Any]], task_id: str | None) -> None:
        self.said += [(line[2], line[3]) for line in lines]

    def report(self, report: Report) -> None: ...

    def call(self, job: Job, operation: str, arguments: Mapping[str, Any]) -> Any:
        if operation == "files.list":
            return []
        raise AssertionError(operation)

    def texts(self, level: str = "INFO") -> list[str]:
        return [text for said, text in self.said if said == level]


def run(folder: Path, kind: str, heard: Heard | None = None, **more: Any) -> Report:
    """Run one script task in this process."""
    variables = more.pop("variables", {})
    changes = more.pop("settings", {})
    key = more.pop("key", "t")
    wanted = job({"type": f"io.kestra.plugin.scripts.{kind}", "properties": more}, key=key)
    wanted = Job(
        **{**{n: getattr(wanted, n) for n in wanted.__dataclass_fields__}, "variables": variables}
    )
    return InProcess(default_parts(settings(folder, **changes), now), heard or Heard()).run(wanted)


def stored(folder: Path, uri: str) -> str:
    return LocalStorage(folder / "storage").read_bytes(uri).decode()


def test_a_shell_script_is_the_text_that_the_interpreter_runs(tmp_path: Path) -> None:
    heard = Heard()
    report = run(tmp_path, "shell.Script", heard, script="x=4\necho $((x + 3))")
    assert report.state == "SUCCESS"
    assert heard.texts() == ["7"]


def test_before_commands_run_in_the_same_shell(tmp_path: Path) -> None:
    heard = Heard()
    run(tmp_path, "shell.Commands", heard, beforeCommands=["x=1"], commands=["echo x$x"])
    assert heard.texts() == ["x1"]


def test_the_first_failing_command_ends_the_shell(tmp_path: Path) -> None:
    heard = Heard()
    report = run(tmp_path, "shell.Commands", heard, commands=["false", "echo after"])
    assert (report.state, heard.texts()) == ("FAILED", [])


def test_without_fail_fast_the_last_command_decides(tmp_path: Path) -> None:
    heard = Heard()
    report = run(
        tmp_path, "shell.Commands", heard, failFast=False, commands=["false", "echo after"]
    )
    assert (report.state, heard.texts()) == ("SUCCESS", ["after"])


def test_another_interpreter_gets_the_text(tmp_path: Path) -> None:
    heard = Heard()
    run(
        tmp_path,
        "shell.Commands",
        heard,
        interpreter=["/usr/bin/env", "perl", "-e"],
        failFast=False,
        commands=["print 6 * 7"],
    )
    assert heard.texts() == ["42"]


@pytest.mark.parametrize(("warning", "state"), [(True, "WARNING"), (False, "SUCCESS")])
def test_a_line_on_stderr_warns_unless_told_otherwise(
    tmp_path: Path, warning: bool, state: str
) -> None:
    heard = Heard()
    report = run(
        tmp_path, "shell.Commands", heard, commands=["echo oops >&2"], warningOnStdErr=warning
    )
    assert report.state == state
    assert heard.texts("ERROR") == ["oops"]


def test_a_protocol_line_on_stderr_warns_too(tmp_path: Path) -> None:
    report = run(tmp_path, "shell.Commands", commands=["""echo '::{"outputs":{}}::' >&2"""])
    assert report.state == "WARNING"


def test_input_files_are_rendered_and_output_files_kept(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        "shell.Commands",
        variables={"name": "in.txt", "who": "Ada"},
        inputFiles={"sub/{{ name }}": "Hello {{ who }}", "nothing": None},
        commands=["cat sub/in.txt > out.txt", "mkdir deep", "cp out.txt deep/copy.csv"],
        outputFiles=["out.txt", "**/*.csv", "missing.txt"],
    )
    assert report.outputs is not None
    files = report.outputs["outputFiles"]
    assert sorted(files) == ["deep/copy.csv", "out.txt"]
    assert stored(tmp_path, files["out.txt"]) == "Hello Ada"


def test_output_files_are_kept_after_a_failure(tmp_path: Path) -> None:
    report = run(
        tmp_path, "shell.Commands", commands=["echo x > a.log", "exit 9"], outputFiles=["*.log"]
    )
    assert report.state == "FAILED"
    assert report.outputs is not None
    assert report.outputs["exitCode"] == 9
    assert list(report.outputs["outputFiles"]) == ["a.log"]


def test_a_stored_file_in_a_command_becomes_a_local_path(tmp_path: Path) -> None:
    uri = LocalStorage(tmp_path / "storage").put_bytes("kestra:///some/data.txt", b"content")
    heard = Heard()
    run(tmp_path, "shell.Commands", heard, variables={"file": uri}, commands=["cat {{ file }}"])
    assert heard.texts() == ["content"]


def test_the_working_directory_is_known_and_is_the_current_one(tmp_path: Path) -> None:
    heard = Heard()
    run(
        tmp_path,
        "shell.Commands",
        heard,
        commands=['test "{{ workingDir }}" = "$PWD" && test "$WORKING_DIR" = "$PWD" && echo same'],
    )
    assert heard.texts() == ["same"]


def test_there_is_no_output_directory_unless_asked_for(tmp_path: Path) -> None:
    heard = Heard()
    run(tmp_path, "shell.Commands", heard, commands=["echo dir=$OUTPUT_DIR"])
    assert heard.texts() == ["dir="]


@pytest.mark.parametrize("asked", [{"outputDirectory": True}, {"runner": "PROCESS"}])
def test_all_files_of_the_output_directory_are_kept(tmp_path: Path, asked: dict[str, Any]) -> None:
    report = run(
        tmp_path,
        "shell.Commands",
        commands=["mkdir {{ outputDir }}/n", "echo x > $OUTPUT_DIR/n/file.txt"],
        **asked,
    )
    assert report.outputs is not None
    assert list(report.outputs["outputFiles"]) == ["n/file.txt"]


def test_a_very_long_script_still_runs(tmp_path: Path) -> None:
    heard = Heard()
    padding = "\n".join(["# " + "x" * 98] * 3000)
    report = run(tmp_path, "shell.Script", heard, script=f"{padding}\necho end")
    assert (report.state, heard.texts()) == ("SUCCESS", ["end"])


def test_a_python_script_imports_files_beside_it(tmp_path: Path) -> None:
    heard = Heard()
    report = run(
        tmp_path,
        "python.Script",
        heard,
        inputFiles={"beside.py": "answer = 42"},
        script="import beside\nprint(beside.answer)",
    )
    assert (report.state, heard.texts()) == ("SUCCESS", ["42"])


def test_a_python_script_speaks_the_output_protocol(tmp_path: Path) -> None:
    script = """
import json
print("::" + json.dumps({"outputs": {"rows": 3}, "metrics": [
    {"name": "rows", "type": "counter", "value": 3, "tags": {"table": "t"}}]}) + "::")
"""
    report = run(tmp_path, "python.Script", script=script)
    assert report.outputs is not None
    assert report.outputs["vars"] == {"rows": 3}
    assert [(m.name, m.kind, m.value) for m in report.metrics] == [("rows", "counter", 3.0)]


def test_the_script_itself_is_no_output_file(tmp_path: Path) -> None:
    report = run(tmp_path, "python.Script", script="open('a.py', 'w')", outputFiles=["*.py"])
    assert report.outputs is not None
    assert list(report.outputs["outputFiles"]) == ["a.py"]


def test_a_task_runner_that_is_not_here_fails_with_a_way_out(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        "shell.Commands",
        commands=["true"],
        taskRunner={"type": "io.kestra.plugin.scripts.runner.docker.Docker"},
        settings={"docker": DockerAccess(hosts=(f"unix://{tmp_path}/no.sock",))},
    )
    assert (report.state, report.reason) == ("FAILED", "setup")
    assert "io.kestra.plugin.core.runner.Process" in str(report.error)


def test_without_docker_a_task_that_names_no_runner_is_a_process_and_says_so(
    tmp_path: Path,
) -> None:
    heard = Heard()
    report = run(
        tmp_path,
        "shell.Commands",
        heard,
        commands=["echo ran"],
        settings={
            "docker": DockerAccess(hosts=(f"unix://{tmp_path}/no.sock",)),
            "task_runner": "auto",
        },
    )
    assert (report.state, heard.texts()) == ("SUCCESS", ["ran"])
    assert len(heard.texts("WARN")) == 1


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({"docker": {"image": "ubuntu"}}, "SUCCESS"),
        ({"containerImage": "ubuntu"}, "SUCCESS"),
        ({"runner": "DOCKER", "docker": {"image": "ubuntu"}}, "FAILED"),
        ({"taskRunner": {"image": "ubuntu"}}, "FAILED"),
    ],
)
def test_naming_an_image_asks_for_no_docker_but_naming_the_runner_does(
    tmp_path: Path, given: dict[str, Any], state: str
) -> None:
    nowhere = {"docker": DockerAccess(hosts=(f"unix://{tmp_path}/no.sock",)), "task_runner": "auto"}
    report = run(tmp_path, "shell.Commands", commands=["true"], settings=nowhere, **given)
    assert report.state == state, report.error


def test_an_interpreter_that_is_not_installed_is_a_setup_failure(tmp_path: Path) -> None:
    report = run(tmp_path, "shell.Commands", interpreter=["no-such-shell"], commands=["true"])
    assert (report.state, report.reason) == ("FAILED", "setup")
    assert "no-such-shell cannot be started" in str(report.error)


def works(program: str, folder: Path) -> bool:
    """Whether a program is there, and is more than the stand-in of an installer."""
    found = shutil.which(program)
    if found is None:
        return False
    asked = [found, {"go": "version", "lua": "-v"}.get(program, "--version")]
    env = {"PATH": os.environ["PATH"], "HOME": str(folder / "nobody")}
    return subprocess.run(asked, check=False, capture_output=True, env=env).returncode == 0


def test_what_the_tools_of_a_language_fetch_or_build_is_kept_outside_the_workspace(
    tmp_path: Path,
) -> None:
    heard = Heard()
    variables = ("npm_config_cache", "GOCACHE", "GOPATH")
    for kind in ("node.Commands", "go.Commands"):
        run(tmp_path, kind, heard, commands=["env"])
    said = dict(text.partition("=")[::2] for text in heard.texts())
    assert all(said[name].startswith(f"{tmp_path}/cache/") for name in variables)
    run(tmp_path, "go.Commands", heard, commands=["echo $GOCACHE"], env={"GOCACHE": "own"})
    assert heard.texts()[-1] == "own"


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_a_script_runs_in_its_language(tmp_path: Path, language: str) -> None:
    script, program = LANGUAGES[language]
    if not works(program, tmp_path):
        pytest.skip(f"{program} is not installed")
    heard = Heard()
    report = run(tmp_path, f"{language}.Script", heard, script=script)
    assert (report.state, heard.texts()) == ("SUCCESS", ["hello 42"])


def test_commands_have_the_tools_of_their_language(tmp_path: Path) -> None:
    heard = Heard()
    report = run(tmp_path, "perl.Commands", heard, commands=["perl -e 'print 6 * 7'"])
    assert (report.state, heard.texts()) == ("SUCCESS", ["42"])


def test_input_files_may_name_the_working_directory(tmp_path: Path) -> None:
    heard = Heard()
    run(
        tmp_path,
        "shell.Commands",
        heard,
        inputFiles={"where.txt": "{{ workingDir }}"},
        targetOS="AUTO",
        commands=['test "$(cat where.txt)" = "$PWD" && echo same'],
    )
    assert heard.texts() == ["same"]


def test_namespace_files_are_there_and_input_files_win(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "storage")
    for name in ("lib/a.txt", "b.txt"):
        storage.put_bytes(places.namespace_file("team.app", name), b"namespace")
    heard = Heard()
    run(
        tmp_path,
        "shell.Commands",
        heard,
        namespaceFiles={"enabled": True},
        inputFiles={"b.txt": "input"},
        commands=["cat lib/a.txt; echo; cat b.txt"],
    )
    assert heard.texts() == ["namespace", "input"]
