"""What scripts can say and leave behind, row by row, in a runner of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import Runner, commands, job, runner

from penstock_runner.jobs.protocol import Job
from penstock_runner.jobs.secrets import Scope, Secrets
from penstock_runner.tasks.storage import LocalStorage

SHELL = "io.kestra.plugin.scripts.shell.Commands"
PYTHON = "io.kestra.plugin.scripts.python.Script"
DIRECTORY = "io.kestra.plugin.core.flow.WorkingDirectory"
PROCESS = {"type": "io.kestra.plugin.core.runner.Process"}


def said(core: Runner, wanted: Job) -> list[tuple[str, str]]:
    """The level and text of each line of a job that has gone well."""
    report = core.do(wanted)
    assert report["state"] in {"SUCCESS", "WARNING"}, core.texts(wanted)
    return said_of(core, wanted)


def said_of(core: Runner, wanted: Job) -> list[tuple[str, str]]:
    return [(line[2], line[3]) for line in core.lines(wanted)]


def directory(*children: tuple[str, list[str]], key: str = "wd", **properties: Any) -> Job:
    """Shell tasks that share a working directory."""
    tasks = [
        {
            "id": name,
            "type": SHELL,
            "kind": SHELL,
            "properties": {"commands": lines, "taskRunner": PROCESS},
            "taskrunId": f"run-{name}",
        }
        for name, lines in children
    ]
    task = {"type": DIRECTORY, "kind": DIRECTORY, "properties": properties}
    return job({**task, "branches": {"tasks": tasks}}, key=key)


def test_a_file_that_comes_later_overwrites_with_a_note(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "storage")
    for name in ("a.txt", "b.txt"):
        storage.put_bytes(f"kestra:///team/app/_files/{name}", b"of the namespace")
    wanted = job(
        {
            "type": PYTHON,
            "properties": {
                "script": "print(open('a.txt').read(), open('b.txt').read())",
                "namespaceFiles": {"enabled": True},
                "inputFiles": {"a.txt": "given", "penstock_script.py": "print('not this')"},
                "taskRunner": PROCESS,
            },
        }
    )
    with runner(tmp_path) as core:
        core.start(wanted)
        asked = core.until("question", lambda m: m["type"] == "call")
        core.send({"type": "answer", "call": asked["call"], "value": []})
        core.report(wanted)
        assert said_of(core, wanted) == [
            ("DEBUG", "inputFiles overwrites the namespace file a.txt"),
            ("DEBUG", "The script overwrites the file penstock_script.py"),
            ("INFO", "given of the namespace"),
        ]


def test_outputs_are_written_to_a_file_in_both_spellings(tmp_path: Path) -> None:
    wanted = commands(
        'echo "plain=a=b" >> $PENSTOCK_OUTPUT',
        'printf "many<<EOF\\nx\\n  y=1\\n\\nEOF\\n" >> $PENSTOCK_OUTPUT',
        """echo '::{"outputs": {"said": 1, "plain": "first"}}::'""",
    )
    with runner(tmp_path) as core:
        report = core.do(wanted)
    assert report["outputs"]["vars"] == {"said": 1, "plain": "a=b", "many": "x\n  y=1\n"}


def test_variables_and_programs_are_there_for_later_tasks(tmp_path: Path) -> None:
    wanted = directory(
        (
            "first",
            [
                "printf 'A=1\\nB<<X\\nl1\\nl2\\nX\\n' >> $PENSTOCK_ENV",
                "mkdir tools",
                "printf '#!/bin/sh\\necho a tool' > tools/mine && chmod +x tools/mine",
                'echo "$PWD/tools" >> $PENSTOCK_PATH',
                'echo "${A:-nothing yet}"',
            ],
        ),
        ("second", ['echo "$A" $B', "mine"]),
    )
    with runner(tmp_path) as core:
        lines = [text for _, text in said(core, wanted)]
    assert lines == ["nothing yet", "1 l1 l2", "a tool"]


def test_commands_are_not_obeyed_between_their_stop_and_its_token(tmp_path: Path) -> None:
    wanted = commands(
        "echo '::stop-commands::tok-1'",
        "echo '::error::as it is'",
        "echo '::add-mask::word'",
        "echo '::tok-1::'",
        "echo '::notice::a word'",
        "echo '::set-env name=X::1'",
        "echo '::add-path::/x'",
    )
    with runner(tmp_path) as core:
        assert said(core, wanted) == [
            ("INFO", "::error::as it is"),
            ("INFO", "::add-mask::word"),
            ("INFO", "a word"),
            ("WARN", "::set-env:: is refused: write to $PENSTOCK_ENV instead"),
            ("WARN", "::add-path:: is refused: write to $PENSTOCK_PATH instead"),
        ]


def test_the_first_fifty_annotations_are_kept_and_none_is_endless(tmp_path: Path) -> None:
    wanted = commands(
        'for n in $(seq 60); do echo "::warning file=f%2C$n,line=$n::it is%0A$n"; done',
        "head -c 9000 /dev/zero | tr '\\0' 'x' > long",
        'echo "::error::$(cat long)"',
    )
    with runner(tmp_path) as core:
        report = core.do(wanted)
    notes = report["notes"]["annotations"]
    assert len(notes) == 50
    assert notes[2] == {"level": "warning", "file": "f,3", "line": "3", "message": "it is\n3"}


def test_the_summaries_of_a_working_directory_are_one(tmp_path: Path) -> None:
    wanted = directory(
        ("a", ["echo '# one' >> $PENSTOCK_STEP_SUMMARY", "echo '::notice::seen'"]),
        ("b", ["echo two >> $PENSTOCK_STEP_SUMMARY"]),
    )
    with runner(tmp_path) as core:
        report = core.do(wanted)
    storage = LocalStorage(tmp_path / "storage")
    assert storage.read_bytes(report["notes"]["summary"]) == b"# one\ntwo\n"
    assert report["notes"]["annotations"] == [{"task": "a", "level": "notice", "message": "seen"}]


def test_a_summary_holds_no_secret_and_has_an_end(tmp_path: Path) -> None:
    wanted = commands(
        "echo '::add-mask::hunter-22'",
        "echo 'it is hunter-22' > $PENSTOCK_STEP_SUMMARY",
        "head -c 2000000 /dev/zero | tr '\\0' 'x' >> $PENSTOCK_STEP_SUMMARY",
    )
    with runner(tmp_path) as core:
        report = core.do(wanted)
    text = LocalStorage(tmp_path / "storage").read_bytes(report["notes"]["summary"])
    assert text.startswith(b"it is ******\n")
    assert len(text) <= 1024 * 1024


@pytest.mark.parametrize("stream", ["1", "2"])
def test_terminal_noise_is_tidied_on_both_streams(tmp_path: Path, stream: str) -> None:
    wanted = commands(
        f"printf '10%%\\r\\033[K50%%\\rdone\\n' >&{stream}",
        f"printf '\\033]0;title\\007\\033[1;31mred\\033[0m\\033[2J\\n' >&{stream}",
        f"printf 'a\\377\\376b\\n' >&{stream}",
        f"printf 'section_start:1:s[collapsed=true]\\r\\033[0KTitle\\n' >&{stream}",
    )
    with runner(tmp_path) as core:
        assert [text for _, text in said(core, wanted)] == [
            "done",
            "\x1b[1;31mred\x1b[0m",
            "a\ufffd\ufffdb",
            "section_start:1:s[collapsed=true]\rTitle",
        ]


def test_a_line_without_an_end_is_shown_after_a_second(tmp_path: Path) -> None:
    wanted = commands("printf 'Continue? '", "while [ ! -e go ]; do sleep 0.05; done", "echo yes")
    with runner(tmp_path) as core:
        core.start(wanted)
        assert core.line("Continue? ")[3] == "Continue? "
        (tmp_path / "work" / "run-t-1" / "work" / "go").touch()
        core.report(wanted)
        assert core.texts(wanted) == ["Continue? ", "yes"]


def test_a_link_beside_what_it_leads_to_is_an_output_of_its_own(tmp_path: Path) -> None:
    wanted = commands(
        "echo fine > real.txt",
        "ln -s real.txt link.txt",
        "ln -s /etc/passwd away.txt",
        outputFiles=["*.txt"],
    )
    with runner(tmp_path) as core:
        report = core.do(wanted)
        warned = [text for level, text in said_of(core, wanted) if level == "WARN"]
    files = report["outputs"]["outputFiles"]
    storage = LocalStorage(tmp_path / "storage")
    assert {name: storage.read_bytes(uri) for name, uri in files.items()} == {
        "link.txt": b"fine\n",
        "real.txt": b"fine\n",
    }
    assert warned == [
        "outputFiles: away.txt is a link that leaves the working directory; it is not kept"
    ]


def test_what_is_to_be_hidden_is_told_to_core_for_later_jobs(tmp_path: Path) -> None:
    wanted = commands("echo '::add-mask::made-up-4711'", "echo it is made-up-4711")
    with runner(tmp_path) as core:
        report = core.do(wanted)
        assert core.texts(wanted) == ["it is ******"]
    assert list(report["masks"]) == ["made-up-4711"]


def test_a_job_of_a_protected_ref_alone_gets_what_is_kept_for_those(tmp_path: Path) -> None:
    scopes = [Scope(names="*", namespaces=("*",), protected=True)]
    secrets = Secrets({"KEY": "hunter-22"}, scopes=scopes)
    wanted = commands("test '{{ secret('KEY') }}' = hunter-22")
    with runner(tmp_path, secrets=secrets) as core:
        assert core.do(replace(wanted, key="main", protected=True))["state"] == "SUCCESS"
        refused = core.do(replace(wanted, key="fork"))
    assert refused["state"] == "FAILED"
    assert "SECRET_NOT_ALLOWED" in refused["error"]
