"""Python tasks: which Python they get, and packages that are installed once and then found."""

from __future__ import annotations

import os
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.harness import now
from tests.tasks.test_scripts import Heard, run
from tests.tasks.wheels import only_from, wheel

from penstock_runner.jobs.protocol import Report

PRINT_WORD = "import greeting\nprint(greeting.word)"
PROCESS = {"type": "io.kestra.plugin.core.runner.Process"}


def offline(folder: Path, **changes: Any) -> dict[str, Any]:
    """Settings of a runner whose installers know the wheels of a folder and nothing else."""
    return {"index_settings": only_from(folder), **changes}


def sets(folder: Path) -> list[Path]:
    """The sets of packages that the runner keeps."""
    return sorted(path for path in (folder / "cache/python").glob("*") if len(path.name) == 32)


@pytest.mark.parametrize("manager", ["UV", "PIP"])
def test_dependencies_are_installed_and_kept_for_the_next_job(tmp_path: Path, manager: str) -> None:
    package = wheel(tmp_path)
    for _ in range(2):
        heard = Heard()
        report = run(
            tmp_path,
            "python.Script",
            heard,
            script=PRINT_WORD,
            dependencies=["{{ package }}"],
            packageManager=manager,
            variables={"package": str(package)},
        )
        assert (report.state, heard.texts()) == ("SUCCESS", ["hello"]), heard.said
        package.unlink(missing_ok=True)


def test_without_a_cache_packages_are_the_job_s_alone(tmp_path: Path) -> None:
    wheel(tmp_path)
    for _ in range(2):
        report = run(
            tmp_path,
            "python.Script",
            script=PRINT_WORD,
            dependencies=["greeting"],
            dependencyCacheEnabled=False,
            settings=offline(tmp_path),
        )
        assert report.state == "SUCCESS"
    assert sets(tmp_path) == []


def test_dependencies_that_cannot_be_installed_are_a_setup_failure(tmp_path: Path) -> None:
    missing = tmp_path / "missing-1.0-py3-none-any.whl"
    report = run(tmp_path, "python.Script", script="pass", dependencies=[str(missing)])
    assert (report.state, report.reason) == ("FAILED", "setup")
    assert "dependencies could not be installed" in str(report.error)
    assert sets(tmp_path) == []


def test_python_commands_have_the_dependencies_too(tmp_path: Path) -> None:
    heard = Heard()
    report = run(
        tmp_path,
        "python.Commands",
        heard,
        commands=["python3 -c 'import greeting; print(greeting.word)'", "say-hello"],
        dependencies=[str(wheel(tmp_path, program="say-hello"))],
    )
    assert (report.state, heard.texts()) == ("SUCCESS", ["hello", "hello"]), heard.said


def test_a_path_of_the_task_s_own_stays(tmp_path: Path) -> None:
    heard = Heard()
    run(
        tmp_path,
        "python.Script",
        heard,
        inputFiles={"lib/own.py": "word = 'own'"},
        env={"PYTHONPATH": "{{ workingDir }}/lib"},
        script="import own\n" + PRINT_WORD + "\nprint(own.word)",
        dependencies=[str(wheel(tmp_path))],
    )
    assert heard.texts() == ["hello", "own"]


def test_lines_of_a_python_script_are_not_held_back(tmp_path: Path) -> None:
    heard = Heard()
    run(tmp_path, "python.Script", heard, script="import os\nprint(os.environ['PYTHONUNBUFFERED'])")
    assert heard.texts() == ["true"]


def test_two_jobs_install_the_same_packages_once(tmp_path: Path) -> None:
    wheel(tmp_path)
    heard = [Heard(), Heard()]
    reports: list[Report] = []

    def work(listener: Heard, key: str) -> None:
        reports.append(
            run(
                tmp_path,
                "python.Script",
                listener,
                key=key,
                script=PRINT_WORD,
                dependencies=["greeting"],
                settings=offline(tmp_path),
            )
        )

    both = [threading.Thread(target=work, args=(one, f"t{n}")) for n, one in enumerate(heard)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert [report.state for report in reports] == ["SUCCESS", "SUCCESS"]
    installing = [text for one in heard for text in one.texts("DEBUG") if "Installing" in text]
    assert installing == ["Installing greeting"]


def test_packages_that_nobody_has_used_for_long_are_removed(tmp_path: Path) -> None:
    for name in ("first", "second"):
        wheel(tmp_path, name)
    for name in ("first", "second"):
        run(
            tmp_path,
            "python.Script",
            script="pass",
            dependencies=[name],
            settings=offline(tmp_path),
        )
        if name == "first":
            [old] = sets(tmp_path)
            long_ago = (now() - timedelta(days=31)).timestamp()
            os.utime(old, (long_ago, long_ago))
    [kept] = sets(tmp_path)
    assert (kept / "second.py").exists()


def test_pip_lines_are_installed_once_and_leave_nothing_on_the_machine(tmp_path: Path) -> None:
    package = wheel(tmp_path)
    for _ in range(2):
        heard = Heard()
        report = run(
            tmp_path,
            "python.Script",
            heard,
            beforeCommands=["pip install greeting"],
            script=PRINT_WORD + "\nimport sys\nprint(sys.prefix != sys.base_prefix)",
            settings=offline(tmp_path),
        )
        assert (report.state, heard.texts()) == ("SUCCESS", ["hello", "True"]), heard.said
        package.unlink(missing_ok=True)
    assert len(sets(tmp_path)) == 1


def test_pip_that_is_used_otherwise_installs_for_this_run_only(tmp_path: Path) -> None:
    package = wheel(tmp_path)
    heard = Heard()
    report = run(
        tmp_path,
        "python.Commands",
        heard,
        warningOnStdErr=False,
        commands=[
            f"pip install -q --no-index {package} && python -c 'import greeting; print(1)'",
            "python -c 'import greeting; print(greeting.__file__)'",
        ],
    )
    assert report.state == "SUCCESS", heard.said
    assert heard.texts()[0] == "1"
    assert str(tmp_path / "work") in heard.texts()[1]
    assert sets(tmp_path) == []


def test_a_python_image_is_an_environment_without_the_machine_s_packages(tmp_path: Path) -> None:
    heard = Heard()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    report = run(
        tmp_path,
        "shell.Commands",
        heard,
        containerImage=f"python:{version}-slim",
        commands=["pip install greeting", "python prog.py"],
        inputFiles={
            "prog.py": "import sys, greeting\nprint('%d.%d' % sys.version_info[:2])\n"
            "print(sys.prefix != sys.base_prefix, greeting.word)"
        },
        settings=offline(wheel(tmp_path).parent),
    )
    assert (report.state, heard.texts()) == ("SUCCESS", [version, "True hello"]), heard.said


def test_a_python_that_the_machine_does_not_have_is_told(tmp_path: Path) -> None:
    heard = Heard()
    report = run(
        tmp_path,
        "python.Script",
        heard,
        containerImage="python:3.99",
        script="print('ran')",
        settings=offline(tmp_path),
    )
    assert (report.state, heard.texts()) == ("SUCCESS", ["ran"])
    assert any("no python3.99" in text for text in heard.texts("WARN"))


def test_an_image_brings_the_packages_that_its_name_promises(tmp_path: Path) -> None:
    for name in ("dbt_core", "dbt_greeting"):
        wheel(tmp_path, name)
    heard = Heard()
    report = run(
        tmp_path,
        "shell.Commands",
        heard,
        containerImage="ghcr.io/kestra-io/dbt-greeting:latest",
        commands=["python -c 'import dbt_greeting, dbt_core; print(dbt_greeting.word)'"],
        settings=offline(tmp_path),
    )
    assert (report.state, heard.texts()) == ("SUCCESS", ["hello"]), heard.said


def test_a_task_goes_on_without_promised_packages_and_does_not_try_again_at_once(
    tmp_path: Path,
) -> None:
    told = []
    for _ in range(2):
        heard = Heard()
        report = run(
            tmp_path,
            "python.Script",
            heard,
            containerImage="ghcr.io/kestra-io/pydata:latest",
            script="print('ran')",
            settings=offline(tmp_path),
        )
        assert (report.state, heard.texts()[-1]) == ("SUCCESS", "ran")
        told.append([text for text in heard.texts("WARN") if "runs without kestra" in text])
    assert [len(lines) for lines in told] == [1, 0]


def test_kestra_is_brought_to_scripts_that_import_it_and_to_no_others(tmp_path: Path) -> None:
    wheel(tmp_path, "kestra")
    settings = offline(tmp_path)
    run(tmp_path, "python.Script", script="print('no')", settings=settings)
    assert sets(tmp_path) == []
    heard = Heard()
    files = {"inputFiles": {"main.py": "from kestra import word\nprint(word)"}}
    run(tmp_path, "python.Commands", heard, commands=["python main.py"], settings=settings, **files)
    assert heard.texts() == ["hello"]


def test_a_named_process_gets_nothing_that_an_image_would_bring(tmp_path: Path) -> None:
    wheel(tmp_path, "kestra")
    run(
        tmp_path,
        "python.Script",
        script="print('from kestra import x')",
        containerImage="ghcr.io/kestra-io/pydata:latest",
        taskRunner=PROCESS,
        settings=offline(tmp_path),
    )
    assert sets(tmp_path) == []


def test_the_password_of_an_index_is_in_no_log_and_in_no_job(tmp_path: Path) -> None:
    heard = Heard()
    index = "https://ada:s3cret-word@packages.example.invalid/simple"
    settings = {"index_settings": {"PIP_INDEX_URL": index, "UV_INDEX_URL": index}}
    report = run(
        tmp_path,
        "python.Script",
        heard,
        beforeCommands=["env"],
        script=f"print('{index}')",
        dependencies=[str(wheel(tmp_path))],
        settings=settings,
    )
    assert report.state == "SUCCESS"
    assert not any("s3cret-word" in text for _, text in heard.said)
    assert not any(text.startswith(("PIP_INDEX", "UV_INDEX")) for _, text in heard.said)
