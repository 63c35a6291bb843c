"""What goes wrong at the edges: one clear message that says what to do, and nothing is lost."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.live import AS_OURSELVES, Service, live_service, wait_for

pytestmark = pytest.mark.e2e

COMMAND_SECONDS = 60
GOOD = """
id: good
namespace: team
inputs: [{id: count, type: INT}]
tasks: [{id: say, type: io.kestra.plugin.core.log.Log, message: "{{ inputs.count }}"}]
"""
WAITING = """
id: waiting
namespace: team
inputs: [{id: go, type: STRING}]
tasks:
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    commands: ["while ! test -e {{ inputs.go }}; do sleep 0.05; done", echo worked]
  - {id: say, type: io.kestra.plugin.core.log.Log, message: said}
"""
SIGNED = """
id: signed
namespace: team
triggers:
  - id: hook
    type: io.kestra.plugin.core.trigger.Webhook
    key: key-of-the-hook
    signature: {secret: s3cret}
tasks: [{id: say, type: io.kestra.plugin.core.log.Log, message: "{{ trigger.body }}"}]
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with live_service(tmp_path_factory.mktemp("bad")) as running:
        running.put_flow(GOOD)
        running.put_flow(SIGNED)
        yield running
        assert "Traceback" not in running.said()


def post_flow(service: Service, source: str) -> tuple[int, str]:
    headers = {"Content-Type": "application/x-yaml"}
    answer = service.post("/api/v1/main/flows", content=source, headers=headers)
    assert "Traceback" not in answer.text
    return answer.status_code, answer.text


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("id: bad\nnamespace: team\ntasks: [", "line"),
        ("id: bad\nnamespace: team\ntasks:\n\t- id: a", "line"),
        ("", "id"),
        ("[]", "map"),
        (
            "id: bad\nnamespace: team\ntasks: [{id: a, type: io.nobody.Nothing}]",
            "io.nobody.Nothing",
        ),
        ("id: bad\nnamespace: team", "tasks"),
        (
            GOOD.replace("good", "bad") + "triggers:\n  - {id: t, "
            "type: io.kestra.plugin.core.trigger.Schedule, cron: '61 * * * *'}",
            "61 * * * *",
        ),
    ],
    ids=["yaml", "tab", "empty", "list", "type", "no tasks", "cron"],
)
def test_a_flow_that_cannot_be_is_refused_by_name(
    service: Service, source: str, words: str
) -> None:
    status, text = post_flow(service, source)
    print(text)
    assert status == 422
    assert words in text
    assert service.get("/api/v1/main/flows/team/bad").status_code == 404


def test_a_bad_change_of_a_flow_leaves_its_last_good_revision_running(service: Service) -> None:
    answer = service.request(
        "PUT",
        "/api/v1/main/flows/team/good",
        content=GOOD.replace("core.log.Log", "core.log.Lag"),
        headers={"Content-Type": "application/x-yaml"},
    )
    assert answer.status_code == 422
    assert "core.log.Lag" in answer.text
    execution = service.ended(service.start_flow("team", "good", count="1"))
    assert execution["state"]["current"] == "SUCCESS"
    assert execution["flowRevision"] == 1


@pytest.mark.parametrize(
    ("files", "words"),
    [({}, "count"), ({"count": (None, "many")}, "count")],
    ids=["missing", "no number"],
)
def test_wrong_inputs_are_named(service: Service, files: Any, words: str) -> None:
    answer = service.post("/api/v1/main/executions/team/good", files=files or None)
    print(answer.text)
    assert answer.status_code == 422
    assert words in answer.text
    assert "Traceback" not in answer.text


def test_a_key_of_a_start_belongs_to_one_request(service: Service) -> None:
    def start(count: str) -> Any:
        headers = {"Idempotency-Key": "once"}
        path = "/api/v1/main/executions/team/good"
        return service.post(path, files={"count": (None, count)}, headers=headers)

    first = start("1")
    assert start("1").json()["id"] == first.json()["id"]
    other = start("2")
    assert other.status_code == 422
    assert f"'once' was used to start execution {first.json()['id']}" in other.text


def test_what_is_not_there_is_said_to_be_not_there(service: Service) -> None:
    for method, path in (
        ("POST", "/api/v1/main/executions/team/nobody"),
        ("GET", "/api/v1/main/flows/team/nobody"),
        ("GET", "/api/v1/main/executions/nobody"),
        ("POST", "/api/v1/main/executions/webhook/team/nobody/key"),
    ):
        answer = service.request(method, path)
        assert answer.status_code == 404, path
        assert answer.json()["message"], path
        assert "Traceback" not in answer.text


def test_a_webhook_with_a_bad_signature_starts_nothing(service: Service) -> None:
    path = "/api/v1/main/executions/webhook/team/signed/key-of-the-hook"
    body = b'{"a": 1}'

    def call(secret: bytes) -> Any:
        signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
        headers = {"X-Signature-256": signature, "Content-Type": "application/json"}
        return service.post(path, content=body, headers=headers)

    refused = call(b"guess")
    print(refused.text)
    assert refused.status_code in {401, 403}
    assert "signature" in refused.text.lower()
    assert service.post(path, content=body).status_code in {401, 403}
    accepted = call(b"s3cret")
    assert accepted.status_code == 200
    assert service.ended(accepted.json()["id"])["state"]["current"] == "SUCCESS"
    found = service.get(
        "/api/v1/main/executions", params={"namespace": "team", "flowId": "signed"}
    ).json()
    assert found["total"] == 1


def penstock(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What the command says when it cannot start."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "SECRET_"))}
    return subprocess.run(
        [sys.executable, "-m", "penstock_server", *arguments],
        cwd=cwd,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It ended with one clear message."""
    said = done.stdout + done.stderr
    print(said)
    assert done.returncode not in {0, -9}, said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) <= 2, said
    for word in words:
        assert word in said


def test_a_busy_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        done = penstock("server", "--home", str(tmp_path / "h"), "--port", port, cwd=tmp_path)
    refused(done, port, "--port")


def test_a_home_that_is_in_use_is_named_with_its_holder(service: Service) -> None:
    done = penstock("server", "--home", str(service.home), "--port", "0", cwd=service.home)
    refused(done, str(service.home), "in use", "--home" if "--home" in done.stderr else "home")


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    home = str(tmp_path / "h")
    refused(penstock("server", "--home", home, cwd=tmp_path, PENSTOCK_WEB="many"), "web", "'many'")
    (tmp_path / "penstock.yaml").write_text("portt: 80\n")
    refused(penstock("server", "--home", home, cwd=tmp_path), "portt")


def test_an_unreachable_database_is_named_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://ana:hidden@127.0.0.1:1/nothing"
    done = penstock("server", "--home", str(tmp_path / "h"), "--database-url", url, cwd=tmp_path)
    refused(done, "127.0.0.1")
    assert "hidden" not in done.stdout + done.stderr


def test_a_bad_git_source_is_named(tmp_path: Path) -> None:
    settings = json.dumps({"git": {"sources": [{"id": "a", "url": "file:///x", "reff": "main"}]}})
    done = penstock(
        "server", "--home", str(tmp_path / "h"), cwd=tmp_path, PENSTOCK_CONFIGURATION=settings
    )
    refused(done, "reff")


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own, of a few megabytes."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)],
        capture_output=True,
        timeout=10,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip("a small disk needs a tmpfs, and mounting one needs to be root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], timeout=10, check=False)


def test_a_full_disk_is_said_and_what_waits_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk", 24) as disk,
        live_service(disk, environment=AS_OURSELVES) as service,
    ):
        service.put_flow(GOOD)
        service.put_flow(WAITING)
        before = service.ended(service.start_flow("team", "good", count="1"))
        go = tmp_path / "go"
        running = service.start_flow("team", "waiting", go=str(go))
        wait_for(
            lambda: service.execution(running)["state"]["current"], lambda now: now == "RUNNING"
        )
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(65536))
            except OSError:
                pass
        answer = wait_for(
            lambda: service.post(
                "/api/v1/main/executions/team/good", files={"count": (None, "1" * 9)}
            ),
            lambda answer: answer.status_code != 200,
        )
        print(answer.status_code, answer.text)
        assert answer.status_code == 503
        assert "the disk is full" in answer.text
        assert "Traceback" not in answer.text
        assert service.execution(before["id"])["state"]["current"] == "SUCCESS"
        go.touch()
        told = service.said().count("the disk is full")
        wait_for(lambda: service.said().count("the disk is full"), lambda now: now > told)
        filler.unlink()
        execution_id = wait_for(
            lambda: service.post("/api/v1/main/executions/team/good", files={"count": (None, "3")}),
            lambda answer: answer.status_code == 200,
        ).json()["id"]
        for one in (execution_id, running):
            assert service.ended(one)["state"]["current"] == "SUCCESS"
        lines = service.get(f"/api/v1/main/logs/{running}").json()
        assert [line["message"] for line in lines] == ["worked", "said"]
        print(service.said()[-3000:])
        assert "Traceback" not in service.said()
