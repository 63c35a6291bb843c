"""Messages to Slack, against a server on the loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.tasks.context import Context, run

from penstock_runner.tasks.api import TaskFailed

OLD = "io.kestra.plugin.notifications.slack."
NEW = "io.kestra.plugin.slack."


class Slack(BaseHTTPRequestHandler):
    """Takes messages; refuses them under /bad."""

    messages: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.messages.append(json.loads(body))
        self.send_response(404 if self.path == "/bad" else 200)
        self.end_headers()
        self.wfile.write(b"no_service" if self.path == "/bad" else b"ok")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def slack() -> Iterator[str]:
    Slack.messages.clear()
    server = HTTPServer(("127.0.0.1", 0), Slack)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_payload_is_rendered_twice(slack: str, tmp_path: Path) -> None:
    ctx = Context(tmp_path, inputs={"who": "Ada"}, vars={"text": "Hello {{ inputs.who }}"})
    for name in (OLD, NEW):
        payload = '{"text": "{{ vars.text }}"}'
        run(ctx, f"{name}SlackIncomingWebhook", url=f"{slack}/hook", payload=payload)
    run(ctx, f"{NEW}SlackIncomingWebhook", url=slack, payload={"text": "{{ inputs.who }}"})
    texts = [message["text"] for message in Slack.messages]
    assert texts == ["Hello Ada", "Hello Ada", "Ada"]


def test_a_refused_message_fails_without_showing_the_address(slack: str, tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match=r"^Slack answered with 404: no_service$"):
        run(Context(tmp_path), f"{NEW}SlackIncomingWebhook", url=f"{slack}/bad", payload="{}")


def test_an_execution_is_described(slack: str, tmp_path: Path) -> None:
    ctx = Context(tmp_path)
    ctx.answers["executions.get"] = {
        "id": "x1", "namespace": "n", "flowId": "f", "state": "FAILED", "failedTask": "load",
    }  # fmt: skip
    run(ctx, f"{OLD}SlackExecution", url=slack, channel="#ops", customFields={"Env": "prod"})
    [message] = Slack.messages
    assert (message["channel"], message["text"]) == ("#ops", "n.f is FAILED")
    fields = {field["title"]: field["value"] for field in message["attachments"][0]["fields"]}
    assert (fields["Failed task"], fields["Env"]) == ("load", "prod")
    assert ctx.calls == [("executions.get", {"execution_id": "x1"})]
