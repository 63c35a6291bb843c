from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.command import Ended, log_flow, penstock
from tests.live import Service, live_service, wait_for


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with live_service(tmp_path_factory.mktemp("live")) as running:
        yield running


def asked(service: Service, *arguments: object) -> Ended:
    return penstock(*arguments, PENSTOCK_SERVER=service.url, NO_COLOR="1")


def flows(service: Service, namespace: str) -> list[str]:
    path = f"/api/v1/main/flows/{namespace}"
    return sorted(one["id"] for one in service.get(path).json())


def folder_of(tmp_path: Path, namespace: str, *names: str) -> Path:
    folder = tmp_path / "flows"
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.yml").write_text(log_flow(name, namespace=namespace))
    return folder


@pytest.mark.e2e
def test_flow_namespace_update_saves_a_folder_and_deletes_only_when_told(
    service: Service, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, "older.one", "a", "b")
    done = asked(service, "flow", "namespace", "update", "older.one", folder)
    assert (done.code, done.out) == (0, "= older.one.a  revision 1\n= older.one.b  revision 1\n")
    (folder / "b.yml").unlink()
    assert asked(service, "flow", "namespace", "update", "older.one", folder).code == 0
    assert flows(service, "older.one") == ["a", "b"]
    gone = asked(service, "flow", "namespace", "update", "older.one", folder, "--delete")
    assert "- older.one.b  deleted" in gone.out
    assert flows(service, "older.one") == ["a"]


@pytest.mark.e2e
def test_flows_of_another_namespace_are_refused_unless_they_are_overridden(
    service: Service, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, "older.two", "a")
    arguments = ("flow", "namespace", "update", "older.elsewhere", folder)
    assert asked(service, *arguments).code == 1
    assert asked(service, *arguments, "--override-namespaces").code == 0
    assert flows(service, "older.elsewhere") == ["a"]


@pytest.mark.e2e
def test_flow_updates_and_flows_deploy_save_all_or_nothing(
    service: Service, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, "older.three", "a", "b")
    (folder / "say.txt").write_text("included")
    (folder / "c.yml").write_text(log_flow("c", message="'[[> say.txt]]'", namespace="older.three"))
    (folder / "bad.yml").write_text(log_flow("bad").replace("log.Log", "log.Logg"))
    refused = asked(service, "flow", "updates", folder)
    assert (refused.code, "UNKNOWN_TASK_TYPE" in refused.err) == (1, True)
    assert flows(service, "older.three") == []
    (folder / "bad.yml").unlink()
    assert asked(service, "flow", "updates", folder, "--user", "ana:pw").code == 0
    assert flows(service, "older.three") == ["a", "b", "c"]
    text = service.get("/api/v1/main/flows/older.three/c", params={"source": "true"}).json()
    assert "message: 'included'" in text["source"]
    done = asked(service, "flows", "deploy", folder, "--namespace", "older.four", "--fail-fast")
    assert (done.code, flows(service, "older.four")) == (0, ["a", "b", "c"])


@pytest.mark.e2e
def test_flow_export_writes_an_archive(service: Service, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "older.five", "a")
    asked(service, "flows", "deploy", folder)
    done = asked(service, "flow", "export", "--namespace", "older.five", tmp_path / "out")
    assert done.out == f"1 flow in {tmp_path / 'out' / 'flows.zip'}\n"
    with zipfile.ZipFile(tmp_path / "out" / "flows.zip") as packed:
        assert packed.namelist() == ["older.five-a.yml"]


@pytest.mark.e2e
def test_files_of_a_namespace_are_put_and_deleted(service: Service, tmp_path: Path) -> None:
    folder = tmp_path / "scripts"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.sh", "deep/b.sh", "c.log"):
        (folder / name).write_text(name)
    (folder / ".kestraignore").write_text("*.log\n")
    done = asked(service, "namespace", "files", "update", "older.six", folder, "/scripts")
    assert done.out == "+ older.six/scripts/a.sh\n+ older.six/scripts/deep/b.sh\n", done
    (folder / "deep" / "b.sh").unlink()
    again = asked(
        service, "namespace", "files", "update", "older.six", folder, "scripts", "--delete"
    )
    assert "- older.six/scripts/deep/b.sh" in again.out
    one = asked(service, "nsfiles", "upload", "older.six", folder / "c.log", "/logs", "--override")
    assert one.out == "+ older.six/logs/c.log\n"
    found = service.get("/api/v1/main/namespaces/older.six/files/search", params={"q": ""}).json()
    assert sorted(found) == ["/logs/c.log", "/scripts/a.sh"]


@pytest.mark.e2e
def test_a_plan_tells_what_a_deploy_would_change(service: Service, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "older.seven", "a")
    told = asked(service, "plan", folder, "--exit-code")
    assert (told.code, "+ older.seven.a" in told.out, "dry run" in told.out) == (10, True, True)
    assert flows(service, "older.seven") == []


def test_older_words_validate_and_expand_without_a_service(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "team", "a")
    assert penstock("flow", "validate", "--local", folder).code == 0
    (folder / "bad.yml").write_text(log_flow("bad").replace("log.Log", "log.Logg"))
    assert penstock("flows", "validate", folder).code == 1
    (folder / "text.txt").write_text("one\ntwo\n")
    (folder / "c.yml").write_text("message: |\n  [[> text.txt]]\n")
    assert penstock("flow", "expand", folder / "c.yml").out == "message: |\n  one\n  two\n"
    (folder / "c.yml").write_text("message: '[[> ../secret.txt]]'\n")
    refused = penstock("expand", folder / "c.yml")
    assert (refused.code, "secret.txt" in refused.err) == (1, True)
    assert "flows" not in penstock("--help").out.split("Commands:")[1].split()


def test_init_writes_what_an_editor_needs_and_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / ".vscode").mkdir()
    (tmp_path / ".vscode" / "settings.json").write_text('{"editor.tabSize": 2}')
    (tmp_path / ".pre-commit-config.yaml").write_text("repos: []\n")
    assert penstock("init", folder=tmp_path).code == 0
    settings = (tmp_path / ".vscode" / "settings.json").read_text()
    assert all(word in settings for word in ("editor.tabSize", "yaml.schemas", "flows/**/*.yml"))
    assert (tmp_path / ".pre-commit-config.yaml").read_text() == "repos: []\n"
    assert penstock("validate", tmp_path / "flows").code == 0
    assert penstock("init", folder=tmp_path).code == 0


@pytest.mark.e2e
def test_what_is_watched_is_live_after_each_save_and_no_file_is_written(
    service: Service, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, "older.watch", "a")
    log = tmp_path / "watch.log"
    command = [sys.executable, "-m", "penstock_server", "watch", str(folder), "--source", "me"]
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            env={**os.environ, "PENSTOCK_SERVER": service.url, "NO_COLOR": "1"},
            stdout=out,
            stderr=out,
        )
    try:
        wait_for(lambda: flows(service, "older.watch"), lambda found: found == ["a"])
        wait_for(log.read_text, lambda said: "waiting for changes" in said)
        (folder / "b.yml").write_text(log_flow("b", namespace="older.watch"))
        wait_for(lambda: flows(service, "older.watch"), lambda found: found == ["a", "b"])
        (folder / "a.yml").write_text("id: a\ntasks: []\n")
        wait_for(log.read_text, lambda said: "nothing was deployed" in said)
        assert flows(service, "older.watch") == ["a", "b"]
        new = folder / ".a.yml.new"
        new.write_text(log_flow("a", message="again", namespace="older.watch"))
        new.rename(folder / "a.yml")
        path = "/api/v1/main/flows/older.watch/a"
        wait_for(lambda: service.get(path).json()["revision"], lambda revision: revision == 2)
        (folder / "b.yml").unlink()
        wait_for(lambda: flows(service, "older.watch"), lambda found: found == ["a"])
        assert sorted(one.name for one in folder.iterdir()) == ["a.yml"]
        runs = service.get("/api/v1/main/git/sources/me/runs").json()["results"]
        assert {one["trigger"] for one in runs} == {"watch"}
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


@pytest.mark.e2e
def test_validate_asks_a_service_only_when_one_is_named(service: Service, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "older.there", "a")
    (folder / "caller.yml").write_text(
        log_flow("caller", namespace="older.there").replace(
            "core.log.Log\n    message: hello",
            "core.flow.Subflow\n    namespace: older.there\n    flowId: nobody-has-it",
        )
    )
    alone = asked(service, "validate", folder)
    assert (alone.code, "nobody-has-it" in alone.out) == (0, False), alone
    told = penstock("validate", folder, "--server", service.url, "--strict")
    assert (told.code, "nobody-has-it" in told.out) == (1, True), told
    assert penstock("validate", folder, "--server", "http://127.0.0.1:9").code == 3
