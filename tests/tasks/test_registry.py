"""Types are found without importing them, under all their names."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from penstock_runner.flow.types import FLOWABLES
from penstock_runner.tasks.fitting import fields_by_spelling
from penstock_runner.tasks.registry import (
    Entry,
    Registry,
    TypeTaken,
    UnknownType,
    edit_distance,
    kind_by_name,
    read_package,
)

REGISTRY = Registry()
LOG = "io.kestra.plugin.core.log.Log"


def test_a_type_is_found_by_its_name_and_by_its_old_one() -> None:
    for name in (LOG, "io.kestra.core.tasks.log.Log"):
        found = REGISTRY.find(name)
        assert found is not None
        assert (found.name, found.kind, found.available) == (LOG, "task", True)
        assert found.properties is REGISTRY.load(LOG)


def test_a_misspelt_name_is_unknown_and_the_right_one_is_proposed() -> None:
    assert REGISTRY.find("io.kestra.plugin.core.log.Logg") is None
    assert REGISTRY.similar("io.kestra.plugin.core.log.Logg")[0] == LOG
    with pytest.raises(UnknownType, match=r"did you mean io\.kestra\.plugin\.core\.log\.Log\?"):
        REGISTRY.load("io.kestra.plugin.core.log.Logg")


def test_a_name_in_the_wrong_place_is_proposed_by_its_last_word() -> None:
    assert REGISTRY.similar("io.kestra.core.trigger.Schedule") == [
        "io.kestra.plugin.core.trigger.Schedule"
    ]
    assert REGISTRY.similar("org.example.Nothing") == []


def test_a_type_of_the_language_that_is_not_here_is_known_by_name() -> None:
    found = REGISTRY.find("io.kestra.plugin.aws.dynamodb.PutItem")
    assert found is not None
    assert (found.available, found.properties, found.kind) == (False, None, "task")
    later = REGISTRY.find("io.kestra.plugin.core.flow.PurgeFlows")
    assert later is not None
    assert not later.available


@pytest.mark.parametrize(
    "name",
    [
        "io.kestra.plugin.core.fs.List",
        "com.example.Task",
        "io.kestra.plugin.aws.",
        "Log",
        "",
    ],
)
def test_what_nobody_knows_is_unknown(name: str) -> None:
    assert REGISTRY.find(name) is None


def test_the_kind_of_an_absent_type_is_told_from_its_name() -> None:
    assert kind_by_name("io.kestra.plugin.aws.s3.Trigger") == "trigger"
    assert kind_by_name("io.kestra.plugin.kafka.RealtimeTrigger") == "trigger"
    assert kind_by_name("io.kestra.plugin.ee.aws.runner.Batch") == "taskrunner"
    assert kind_by_name("io.kestra.plugin.ai.provider.OpenAI") == "other"
    assert kind_by_name("io.kestra.plugin.aws.s3.Upload") == "task"


def test_every_type_can_be_imported_and_says_what_it_is_for() -> None:
    for name in REGISTRY.names():
        cls = REGISTRY.load(name)
        assert inspect.getdoc(cls) != inspect.getdoc(cls.__mro__[1]), f"{name} has no docstring"
        assert cls.task_type.name == name


def test_every_type_has_a_json_schema() -> None:
    for name in REGISTRY.names():
        schema = REGISTRY.load(name).model_json_schema(by_alias=True)
        assert schema["type"] == "object", name


def test_every_runnable_type_has_a_run_method() -> None:
    engine = {"io.kestra.plugin.core.flow.Subflow", "io.kestra.plugin.core.flow.Template"}
    for name in REGISTRY.names("task"):
        if not REGISTRY.is_flowable(name) and name not in engine:
            assert callable(getattr(REGISTRY.load(name), "run", None)), f"{name} cannot run"


def test_flowables_have_the_own_properties_that_the_language_says() -> None:
    for name, spec in FLOWABLES.items():
        assert REGISTRY.is_flowable(name), name
        model = REGISTRY.load(name)
        spellings = {field.alias or own for own, field in model.model_fields.items()}
        assert spellings == set(spec.own), name
        required = {f.alias or own for own, f in model.model_fields.items() if f.is_required()}
        assert required == set(spec.required), name


def test_only_tasks_that_compute_are_inline() -> None:
    assert REGISTRY.is_inline(LOG)
    assert REGISTRY.is_inline("io.kestra.core.tasks.debugs.Return")
    assert not REGISTRY.is_inline("io.kestra.plugin.core.log.Fetch")
    assert not REGISTRY.is_inline("io.kestra.plugin.aws.s3.Upload")


def test_looking_a_name_up_imports_no_family() -> None:
    code = (
        "import sys; from penstock_runner.tasks.registry import Registry; r = Registry(); "
        "r.names(); r.is_inline('io.kestra.plugin.core.log.Log'); "
        "print([m for m in sys.modules if 'tasks.core_' in m or m in ('httpx2', 'psycopg')])"
    )
    path = str(Path(inspect.getfile(Registry)).parents[2])
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": path},
        check=True,
    )  # fmt: skip
    assert ran.stdout.strip() == "[]"


def test_a_package_of_somebody_else_adds_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "others_tasks"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mine.py").write_text(
        "from penstock_runner.tasks.api import TaskProperties, task\n\n"
        '@task(\n    "org.example.Mine",\n    aliases=["org.example.Old"],\n    inline=True,\n)\n'
        'class Mine(TaskProperties):\n    """Mine."""\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert list(read_package("others_tasks")) == [
        Entry(
            name="org.example.Mine",
            module="others_tasks.mine",
            class_name="Mine",
            aliases=("org.example.Old",),
            inline=True,
        )
    ]
    registry = Registry(["penstock_runner.tasks", "others_tasks"])
    found = registry.find("org.example.Old")
    assert found is not None
    assert found.name == "org.example.Mine"
    with pytest.raises(TypeTaken, match=r"org\.example\.Mine"):
        Registry(["others_tasks", "others_tasks"]).names()


def test_fields_are_known_under_both_spellings() -> None:
    fields = fields_by_spelling(REGISTRY.load("io.kestra.plugin.core.kv.Get"))
    assert fields["errorOnMissing"] is fields["error_on_missing"]


def test_the_edit_distance_stops_at_its_limit() -> None:
    assert edit_distance("kitten", "sitting", limit=5) == 3
    assert edit_distance("kitten", "sitting", limit=2) == 3
    assert edit_distance("a", "abcdefgh", limit=2) == 3
