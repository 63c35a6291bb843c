"""The schema in use: the real yaml-language-server completes, explains and checks flows with it.

The same installation holds a judge of JSON Schemas, to which flow files are shown: what is right
must not be refused, and what a schema can see must be.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.cases import new_context
from tests.flow.editor import Editor, editing, installed

from penstock_runner.flow.faults import Severity
from penstock_runner.flow.parse import parse_documents
from penstock_runner.flow.schema import flow_schema
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.validation import all_faults

pytestmark = pytest.mark.xdist_group("editor")
JUDGE = Path(__file__).with_name("judge.js")
EXAMPLES = Path(__file__).parents[2] / "examples"
CORE = "io.kestra.plugin.core"
LOG = f"id: one\nnamespace: team\ntasks:\n  - id: it\n    type: {CORE}.log.Log\n"
SCRIPT = """\
id: one
namespace: team
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: [1]
    tasks:
      - id: inner
        type: io.kestra.plugin.scripts.shell.Commands
"""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = installed(tmp_path_factory.mktemp("node"))
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Path:
    path = tmp_path_factory.mktemp("schema") / "flow.schema.json"
    path.write_text(json.dumps(flow_schema(registry)))
    return path


@pytest.fixture(scope="module")
def editor(modules: Path, schema: Path) -> Iterator[Editor]:
    with editing(modules, schema) as found:
        yield found


def messages(editor: Editor, text: str) -> list[str]:
    return [fault["message"] for fault in editor.diagnostics(text)]


def test_a_right_flow_has_nothing_underlined(editor: Editor) -> None:
    assert messages(editor, LOG + '    message: "Hello {{ inputs.who }}"\n') == []


def test_a_misspelt_property_is_underlined_where_it_is(editor: Editor) -> None:
    [fault] = editor.diagnostics(LOG + "    mesage: hello\n")
    assert "mesage" in fault["message"]
    # The schema is named in the line above the flow.
    assert fault["range"]["start"] == {"line": 6, "character": 4}


@pytest.mark.parametrize(
    "text",
    [
        LOG.replace("namespace: team\n", ""),
        LOG + "tusks: []\n",
        LOG + "    timeout: [1]\n",
        LOG + "    retry: {type: never, interval: PT1S}\n",
        LOG + "inputs: [{id: a, type: STRNG}]\n",
        LOG + "inputs: [{id: a, type: INT, validator: x}]\n",
        LOG.replace("id: it", "id: 'not an id'"),
        SCRIPT + "        comands: [echo]\n",
    ],
)
def test_what_a_schema_can_see_is_underlined(editor: Editor, text: str) -> None:
    assert messages(editor, text)


def test_the_properties_of_a_task_are_those_of_its_type(editor: Editor) -> None:
    offered = editor.completions(LOG + "    |\n")
    assert {"message", "level", "retry", "timeout", "runIf"} <= offered.keys()
    assert "commands" not in offered


def test_tasks_inside_tasks_are_completed_too(editor: Editor) -> None:
    offered = editor.completions(SCRIPT + "        |\n")
    assert {"commands", "taskRunner", "outputFiles"} <= offered.keys()
    assert "message" not in offered


def test_types_of_tasks_triggers_and_inputs_are_offered(editor: Editor) -> None:
    tasks = editor.completions("id: a\nnamespace: b\ntasks:\n  - id: it\n    type: |\n")
    assert {f"{CORE}.log.Log", f"{CORE}.flow.ForEach"} <= tasks.keys()
    assert f"{CORE}.trigger.Schedule" not in tasks
    triggers = editor.completions(LOG + "triggers:\n  - id: at\n    type: |\n")
    assert f"{CORE}.trigger.Schedule" in triggers
    inputs = editor.completions(LOG + "inputs:\n  - id: a\n    type: |\n")
    assert {"STRING", "SELECT", "FILE"} <= inputs.keys()


def test_the_type_of_a_task_is_explained(editor: Editor, registry: Registry) -> None:
    info = registry.find(f"{CORE}.log.Log")
    assert info is not None
    assert info.properties is not None
    first = str(info.properties.__doc__).split("`", maxsplit=1)[0].strip()
    assert first in editor.hover(LOG.replace("core.log", "core.l|og"))


def judged(modules: Path, schema: Path, folder: Path, documents: Sequence[Any]) -> list[list[str]]:
    """For each document what the schema has against it."""
    path = folder / "documents.json"
    path.write_text(json.dumps(documents, default=str))
    command = ["node", str(JUDGE), str(modules), str(schema), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found: list[list[str]] = json.loads(done.stdout)
    return found


def test_no_right_flow_is_refused(
    modules: Path, schema: Path, registry: Registry, tmp_path: Path
) -> None:
    """The examples, and all flows that there are to be compatible with."""
    folders = [EXAMPLES, *new_context().flows]
    files = sorted(file for folder in folders for file in folder.rglob("*.y*ml"))
    names, documents = [], []
    for file in files:
        for parsed in parse_documents(file.read_text("utf-8", "replace"), str(file)):
            faults = all_faults(parsed, registry)
            if parsed.flow and not any(fault.severity is Severity.ERROR for fault in faults):
                names.append(str(file))
                documents.append(parsed.document.data)
    assert names
    told = judged(modules, schema, tmp_path, documents)
    assert {name: said[:3] for name, said in zip(names, told, strict=True) if said} == {}
