"""Promises of the project about itself: what its documents say is there, and what must not be."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from penstock_runner.flow.check import check
from penstock_runner.flow.faults import Severity
from penstock_runner.flow.parse import parse_flow
from penstock_runner.tasks.registry import Registry
from penstock_server.config import GitSection, RunnerSection, Settings
from penstock_server.config.docker import DockerSection
from penstock_server.config.reading import READ_ELSEWHERE, VARIABLES
from penstock_server.sync.settings import SourceSettings

PROJECT = Path(__file__).resolve().parents[1]
REGISTRY = Registry(["penstock_runner.tasks"])
EXAMPLES = sorted(
    path for path in (PROJECT / "examples" / "flows").rglob("*") if path.suffix in {".yaml", ".yml"}
)
ADRS = sorted((PROJECT / "docs" / "adr").glob("[0-9]*.md"))
DOCUMENTS = [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")]
PACKAGE_HOSTS = (
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "registry.npmjs" + ".org",
    "registry.yarnpkg" + ".com",
    "crates" + ".io",
    "proxy.golang" + ".org",
    "rubygems" + ".org",
    "conda.anaconda" + ".org",
)
WORKPLACE = re.compile("/work" + "/(?:main|shared)|/root" + "/|/home" + "/[a-z]+/")


def tracked_files() -> list[Path]:
    """Every text file that the repository has, or would have after a commit."""
    if not (PROJECT / ".git").exists():
        pytest.skip("this is no checkout: nothing says which files belong to the project")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "-z"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    found = [PROJECT / name for name in listed.stdout.split("\0") if name]
    return [path for path in found if path.is_file() and b"\0" not in path.read_bytes()[:8000]]


def naming(words: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(PROJECT)}:{number}"
        for path in tracked_files()
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
        if words.search(line)
    ]


def test_no_file_names_a_package_registry() -> None:
    assert naming(re.compile("|".join(map(re.escape, PACKAGE_HOSTS)))) == []


def test_no_file_names_a_folder_of_somebody_s_machine() -> None:
    assert naming(WORKPLACE) == []


@pytest.mark.parametrize("kind", ["task", "trigger", "condition", "taskrunner"])
def test_every_type_has_a_sentence_of_its_own(kind: str) -> None:
    bare = [
        name
        for name in REGISTRY.names(kind)  # type: ignore[arg-type]
        if not (vars(REGISTRY.load(name)).get("__doc__") or "").strip()
    ]
    assert bare == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_a_valid_flow_without_warnings(path: Path) -> None:
    parsed = parse_flow(path.read_text("utf-8"), str(path))
    faults = [*parsed.faults, *check(parsed, REGISTRY)]
    assert [str(fault) for fault in faults if fault.severity is not Severity.NOTE] == []
    assert parsed.flow is not None
    assert parsed.flow.namespace.partition(".")[0] == "examples"


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_the_workflows_of_ci_are_yaml(name: str) -> None:
    assert yaml.safe_load((PROJECT / "examples" / "ci" / name).read_text("utf-8"))


def named_settings() -> Iterator[str]:
    """The names of all settings as files spell them."""
    models: tuple[type[BaseModel], ...] = (
        Settings,
        RunnerSection,
        DockerSection,
        GitSection,
        SourceSettings,
    )
    for model in models:
        for name, field in model.model_fields.items():
            yield field.alias or to_camel(name)


def test_every_setting_is_in_the_documentation() -> None:
    text = (PROJECT / "docs" / "configuration.md").read_text("utf-8")
    names = {*named_settings(), *VARIABLES, *READ_ELSEWHERE}
    assert sorted(name for name in names if f"`{name}`" not in text) == []


def test_the_documentation_names_no_variable_that_does_nothing() -> None:
    text = (PROJECT / "docs" / "configuration.md").read_text("utf-8")
    named = set(re.findall(r"PENSTOCK_[A-Z_]+[A-Z]", text))
    assert named - VARIABLES.keys() - READ_ELSEWHERE == set()


@pytest.mark.parametrize("path", ADRS, ids=lambda path: path.stem)
def test_every_decision_has_its_context_and_its_consequences(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith(f"# {int(path.stem[:4])}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert f"({path.name})" in path.with_name("README.md").read_text("utf-8")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_has_a_dead_link(path: Path) -> None:
    targets = re.findall(r"\]\(([^)\s#]+)[^)]*\)", path.read_text("utf-8"))
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (path.parent / target).exists()] == []


@pytest.mark.parametrize(
    ("lock", "groups"),
    [("requirements.lock", ["build"]), ("requirements-dev.lock", ["build", "dev"])],
)
def test_the_lock_has_every_dependency_with_its_hashes(lock: str, groups: list[str]) -> None:
    told = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    wanted = list(told["project"]["dependencies"])
    for extra in told["project"]["optional-dependencies"].values():
        wanted += extra
    for group in groups:
        wanted += told["dependency-groups"][group]
    text = (PROJECT / lock).read_text("utf-8")
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+).*?\\$", text, re.MULTILINE))
    names = {re.split(r"[\[<>=~! ]", one)[0].lower().replace("_", "-") for one in wanted}
    assert sorted(names - pinned.keys()) == []
    assert text.count("--hash=sha256:") >= len(pinned)
    assert "://" not in text


@pytest.mark.parametrize(
    "path", sorted((PROJECT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.stem
)
def test_the_workflows_pin_the_actions_they_use(path: Path) -> None:
    used = re.findall(r"uses: (\S+)", path.read_text("utf-8"))
    assert used
    assert [one for one in used if not re.search(r"@[0-9a-f]{40}$", one)] == []
