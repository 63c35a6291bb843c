from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.command import log_flow, penstock

VERBS = ["server", "run", "validate", "deploy", "executions", "secrets", "db", "schema"]
WATCHED = """
import sys
sys.argv = ["penstock", *{arguments!r}]
try:
    from penstock_server.cli import main
    main()
except SystemExit as end:
    code = end.code
heavy = {heavy!r}
print("CODE", code, "LOADED", sorted(set(heavy) & set(sys.modules)), file=sys.stderr)
"""


def loaded(heavy: list[str], *arguments: str) -> str:
    """The exit code, and which of these modules were imported."""
    text = WATCHED.format(arguments=arguments, heavy=heavy)
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("verb", ["validate", "run"])
def test_what_needs_no_server_imports_neither_flask_nor_sqlalchemy(
    verb: str, tmp_path: Path
) -> None:
    file = tmp_path / "one.yml"
    file.write_text(log_flow("one"))
    heavy = ["flask", "sqlalchemy", "alembic", "gunicorn", "dulwich", "docker", "httpx2"]
    assert loaded(heavy, verb, str(file)) == "CODE 0 LOADED []"


def test_validate_imports_no_more_than_the_language(tmp_path: Path) -> None:
    file = tmp_path / "one.yml"
    file.write_text(log_flow("one"))
    heavy = ["babel", "xml.sax", "http.client", "penstock_runner.executor", "sqlite3"]
    assert loaded(heavy, "validate", str(file)) == "CODE 0 LOADED []"


def test_help_of_the_whole_imports_no_verb() -> None:
    heavy = [f"penstock_server.cli.{verb}" for verb in VERBS] + ["pydantic", "yaml"]
    assert loaded(heavy, "--help") == "CODE 0 LOADED []"


@pytest.mark.parametrize(
    "verb",
    [
        *([verb] for verb in VERBS),
        ["executions", "list"],
        ["executions", "logs"],
        ["secrets", "encode"],
        ["db", "backup"],
    ],
    ids=" ".join,
)
def test_every_verb_explains_itself_with_examples(verb: list[str]) -> None:
    told = penstock(*verb, "--help")
    assert told.code == 0
    shown = told.out.partition("Examples:\n")[2].splitlines()
    assert shown
    assert all(line.startswith("    penstock ") for line in shown), shown
    assert f"Usage: penstock {' '.join(verb)}" in told.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["validate", "no-such-file.yml"],
        ["validate", "--format", "nonsense"],
        ["run"],
        ["executions"],
        ["executions", "list", "--server", "ftp://example.org"],
        ["executions", "list", "--server", "http://user:secret@example.org"],
        ["secrets", "encode", "no-such-file"],
        ["server", "--port", "many"],
        ["server", "--nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_and_a_sentence(arguments: list[str], tmp_path: Path) -> None:
    told = penstock(*arguments, folder=tmp_path)
    assert told.code == 2
    assert told.err.strip()
    assert "secret@" not in told.err


def test_the_schema_is_printed_and_knows_the_types_that_are_installed() -> None:
    schema = penstock("schema").json
    assert schema["$schema"].startswith("http://json-schema.org/draft-07")
    assert "io.kestra.plugin.core.log.Log" in str(schema["definitions"]["task"])


OFFLINE = """
import socket, sys


def refuse(*_arguments, **_more):
    raise AssertionError("validate asks the network")


socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
sys.argv = ["penstock", "validate", *sys.argv[1:]]
from penstock_server.cli import main

main()
"""


def test_validate_asks_no_network(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(log_flow("a"))
    command = [sys.executable, "-c", OFFLINE, str(tmp_path), "--format", "github"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert (done.returncode, done.stderr) == (0, "")
