from __future__ import annotations

import json
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.actions.composite import ACTIONS, Ended, read, run_action
from tests.live import Service, live_service

COMMAND = str(Path(sys.executable).parent / "penstock")
LOG = """id: {id}
namespace: {namespace}
tasks:
  - id: say
    type: io.kestra.plugin.core.log.Log
    message: {message}
"""
TRAPS = [
    '"; touch {mark} #',
    "'; touch {mark} #",
    "`touch {mark}`",
    "$(touch {mark})",
    "${{IFS}}; touch {mark}",
    "a\ntouch {mark}\n",
    "a\n::error::owned\n::set-output name=x::y",
    "--help",
    "-x; touch {mark}",
    "| touch {mark} &",
    "%0A::error::owned",
]
GITHUB = {
    "GITHUB_SHA": "d" * 40,
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_REPOSITORY": "Acme/Flows.Prod",
    "GITHUB_ACTOR": "ana",
}

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash"),
    pytest.mark.skipif(not Path(COMMAND).exists(), reason="needs the installed command penstock"),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with live_service(tmp_path_factory.mktemp("live")) as running:
        yield running


class Checkout:
    """A workspace with flow files, and the actions run in it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "workspace"
        self.temp = folder / "runner"
        (self.root / "flows").mkdir(parents=True)

    def put(self, flow_id: str, namespace: str, message: str = "hello") -> None:
        text = LOG.format(id=flow_id, namespace=namespace, message=message)
        (self.root / "flows" / f"{flow_id}.yml").write_text(text)

    def remove(self, flow_id: str) -> None:
        (self.root / "flows" / f"{flow_id}.yml").unlink()

    def run(self, action: str, **inputs: str) -> Ended:
        given = {key.replace("_", "-"): value for key, value in inputs.items()}
        given = {"path": "flows", "command": COMMAND} | given
        return run_action(action, given, workspace=self.root, temp=self.temp, **GITHUB)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize("name", ["deploy", "setup", "validate"])
def test_no_script_holds_an_expression(name: str) -> None:
    action = read(name)
    for spec in [*action["inputs"].values(), *action["outputs"].values()]:
        assert spec["description"]
    for script in (ACTIONS / name).glob("*.sh"):
        assert "${{" not in script.read_text("utf-8")


def test_a_deploy_says_what_it_did(service: Service, checkout: Checkout) -> None:
    checkout.put("a", "team.action")
    checkout.put("b", "team.action")
    planned = checkout.run("deploy", server=service.url, dry_run="true")
    assert (planned.code, planned.outputs["added"], planned.outputs["changed"]) == (0, "2", "true")
    assert planned.outputs["applied-commit"] == ""
    assert service.get("/api/v1/main/flows/team.action/a").status_code == 404

    done = checkout.run("deploy", server=service.url, token="hide me")
    assert done.code == 0, done.said
    assert done.said.splitlines()[0] == "::add-mask::hide me"
    assert done.said.count("hide me") == 1
    assert {name: done.outputs[name] for name in ("added", "updated", "pruned", "unchanged")} == {
        "added": "2",
        "updated": "0",
        "pruned": "0",
        "unchanged": "0",
    }
    assert (done.outputs["applied-commit"], done.outputs["changed"]) == ("d" * 40, "true")
    plan = json.loads(Path(done.outputs["plan"]).read_text())
    assert (plan["run"], plan["source"]) == (done.outputs["run-id"], "acme-flows-prod")
    assert "team.action.a" in done.summary
    assert service.get("/api/v1/main/flows/team.action/a").json()["managedBy"] == "acme-flows-prod"

    same = checkout.run("deploy", server=service.url)
    assert (same.outputs["changed"], same.outputs["unchanged"]) == ("false", "2")


def test_a_deploy_deletes_only_when_asked(service: Service, checkout: Checkout) -> None:
    checkout.put("a", "team.prune")
    checkout.put("b", "team.prune")
    inputs = {"server": service.url, "source": "pruning"}
    checkout.run("deploy", **inputs)
    checkout.remove("b")
    checkout.put("a", "team.prune", message="other")
    kept = checkout.run("deploy", **inputs)
    assert (kept.outputs["updated"], kept.outputs["pruned"]) == ("1", "0")
    assert service.get("/api/v1/main/flows/team.prune/b").status_code == 200
    pruned = checkout.run("deploy", **inputs, prune="true")
    assert (pruned.outputs["pruned"], pruned.outputs["unchanged"]) == ("1", "1")
    assert service.get("/api/v1/main/flows/team.prune/b").status_code == 404


def test_invalid_flows_are_annotated_and_nothing_changes(
    service: Service, checkout: Checkout
) -> None:
    checkout.put("good", "team.bad")
    checkout.put("bad", "team.bad")
    bad = checkout.root / "flows" / "bad.yml"
    bad.write_text(bad.read_text().replace("log.Log", "log.Logg"))
    told = checkout.run("deploy", server=service.url)
    assert (told.code, told.outputs["changed"]) == (1, "false")
    [error] = [line for line in told.commands if line.startswith("::error")]
    assert error.startswith("::error file=")
    assert "bad.yml,line=5" in error
    assert "UNKNOWN_TASK_TYPE" in told.summary
    assert service.get("/api/v1/main/flows/team.bad/good").status_code == 404


def test_a_refused_plan_and_a_missing_service_have_their_own_codes(
    service: Service, checkout: Checkout
) -> None:
    checkout.put("mine", "team.codes")
    checkout.run("deploy", server=service.url, source="one")
    refused = checkout.run("deploy", server=service.url, source="two")
    assert (refused.code, "::error title=Deploy refused" in refused.said) == (5, True)
    nobody = checkout.run("deploy", server="http://127.0.0.1:1")
    assert (nobody.code, "::error title=Deploy::http://127.0.0.1:1" in nobody.said) == (3, True)
    assert checkout.run("deploy", server="").code == 2
    assert checkout.run("deploy", server=service.url, prune="perhaps").code == 2
    assert checkout.run("deploy", server=service.url, timeout="soon").code == 2


def test_names_of_other_deploy_actions_are_understood(service: Service, checkout: Checkout) -> None:
    checkout.put("old", "team.old")
    given = {"directory": "flows", "apiToken": "old token", "delete": "true", "path": "none"}
    told = checkout.run("deploy", server=service.url, source="old", **given)
    assert told.code == 0, told.said
    assert "input directory is called path here" in told.said
    assert "::add-mask::old token" in told.said


INPUTS = sorted(set(read("deploy")["inputs"]) - {"command", "wait"})


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_is_never_run(name: str, service: Service, checkout: Checkout) -> None:
    checkout.put("trap", "team.trap")
    mark = checkout.root / "mark"
    # One value that tries everything; single ones would only say which of them works.
    for trap in ["".join(TRAPS), TRAPS[5], TRAPS[6]]:
        value = trap.replace("{mark}", str(mark)).replace("{{IFS}}", "{IFS}")
        inputs = {"server": service.url, "source": "trap", "path": "flows", "command": COMMAND}
        if name in {"version", "install-from"}:
            inputs["command"] = ""
        ended = run_action(
            "deploy",
            {**inputs, name: value},
            workspace=checkout.root,
            temp=checkout.temp,
            **GITHUB,
        )
        assert not mark.exists(), ended.said
        assert "::error::owned" not in ended.commands
        assert "::set-output name=x::y" not in ended.commands
        assert set(ended.outputs["changed"]) <= set("truefals")


def test_validate_counts_and_may_let_pass(checkout: Checkout) -> None:
    checkout.put("good", "team.checked")
    fine = checkout.run("validate")
    assert (fine.code, fine.outputs["valid"], fine.outputs["files"]) == (0, "true", "1")
    checkout.put("bad", "team.checked")
    bad = checkout.root / "flows" / "bad.yml"
    bad.write_text(bad.read_text().replace("message:", "massage:"))
    told = checkout.run("validate", sarif="out.sarif")
    assert (told.code, told.outputs["valid"], told.outputs["files"]) == (1, "false", "2")
    assert int(told.outputs["errors"]) == len(
        [line for line in told.commands if line.startswith("::error")]
    )
    assert json.loads(Path(told.outputs["report"]).read_text())["errors"]
    assert json.loads((checkout.root / "out.sarif").read_text())["version"] == "2.1.0"
    quiet = checkout.run("validate", annotations="false", fail="false")
    assert (quiet.code, quiet.commands, quiet.outputs["valid"]) == (0, [], "false")


def test_setup_installs_into_a_folder_of_its_own_once(checkout: Checkout, tmp_path: Path) -> None:
    wheel = tmp_path / "penstock-0.0.1-py3-none-any.whl"
    info = "penstock-0.0.1.dist-info"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("penstock_stand_in.py", "def main():\n    print('installed')\n")
        packed.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: penstock\nVersion: 0.0.1\n"
        )
        packed.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        packed.writestr(
            f"{info}/entry_points.txt", "[console_scripts]\npenstock = penstock_stand_in:main\n"
        )
        packed.writestr(f"{info}/RECORD", "")
    inputs = {"install-from": str(wheel)}
    first = run_action("setup", inputs, workspace=checkout.root, temp=checkout.temp)
    assert first.code == 0, first.said
    command = Path(first.outputs["command"])
    assert command.is_file()
    assert command.is_relative_to(checkout.temp)
    assert (checkout.temp / "path").read_text().splitlines() == [str(command.parent)]
    made = command.stat().st_mtime_ns
    again = run_action("setup", inputs, workspace=checkout.root, temp=checkout.temp)
    assert (again.code, command.stat().st_mtime_ns) == (0, made)
