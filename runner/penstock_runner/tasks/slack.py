"""Tasks that tell people in Slack."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from penstock_runner.tasks.api import Outputs, Raw, RunContext, TaskFailed, TaskProperties, task
from penstock_runner.tasks.http_client import sent, text_of
from penstock_runner.tasks.http_options import HttpOptions, HttpProperties

SHOWN = 500
COLOURS: Mapping[str, str] = {
    "SUCCESS": "#2eb67d",
    "WARNING": "#ecb22e",
    "FAILED": "#e01e5a",
    "KILLED": "#e01e5a",
}


@task(
    "io.kestra.plugin.slack.SlackIncomingWebhook",
    aliases=["io.kestra.plugin.slack.notifications.SlackIncomingWebhook"],
)
class SlackIncomingWebhook(TaskProperties):
    """Send a message, as Slack describes it, to an incoming webhook."""

    url: str
    payload: Annotated[object, Raw()] = None
    message_text: str | None = None
    options: HttpOptions = HttpOptions()

    def run(self, ctx: RunContext) -> Outputs:
        """Render the payload twice, as messages may hold expressions of their own, and send it."""
        payload = self.payload
        if payload is not None and not isinstance(payload, str):
            payload = json.dumps(payload, ensure_ascii=False)
        if payload is not None:
            payload = ctx.render(ctx.render(payload))
        elif self.message_text is not None:
            payload = json.dumps({"text": self.message_text}, ensure_ascii=False)
        post(ctx, self.url, str(payload or "{}"), self.options)
        return {}


@task(
    "io.kestra.plugin.slack.SlackExecution",
    aliases=["io.kestra.plugin.slack.notifications.SlackExecution"],
)
class SlackExecution(TaskProperties):
    """Tell how an execution stands, with its flow, state and, if it failed, its task."""

    url: str
    channel: str | None = None
    username: str | None = None
    icon_url: str | None = None
    icon_emoji: str | None = None
    execution_id: Annotated[str | None, Field()] = None
    custom_fields: Mapping[str, object] | None = None
    custom_message: str | None = None
    options: HttpOptions = HttpOptions()

    def run(self, ctx: RunContext) -> Outputs:
        """Look the execution up and send the message."""
        found: Mapping[str, Any] = ctx.call(
            "executions.get", execution_id=self.execution_id or ctx.execution_id
        )
        message = json.dumps(self.message(found), ensure_ascii=False)
        post(ctx, self.url, message, self.options)
        return {}

    def message(self, execution: Mapping[str, Any]) -> dict[str, Any]:
        """The message for an execution."""
        state = str(execution.get("state"))
        name = f"{execution.get('namespace')}.{execution.get('flowId')}"
        fields = {
            "Namespace": execution.get("namespace"),
            "Flow": execution.get("flowId"),
            "Execution": execution.get("id"),
            "Status": state,
            "Started": execution.get("startDate"),
            "Duration": execution.get("duration"),
            "Failed task": execution.get("failedTask"),
            **(self.custom_fields or {}),
        }
        text = self.custom_message or f"{name} is {state}"
        if url := execution.get("url"):
            text = f"<{url}|{text}>"
        sender = {
            "channel": self.channel,
            "username": self.username,
            "icon_url": self.icon_url,
            "icon_emoji": self.icon_emoji,
        }
        shown = [
            {"title": title, "value": str(value), "short": True}
            for title, value in fields.items()
            if value is not None
        ]
        attachment = {"color": COLOURS.get(state, "#808080"), "fields": shown}
        return {
            **{key: value for key, value in sender.items() if value is not None},
            "text": text,
            "attachments": [attachment],
        }


def post(ctx: RunContext, url: str, body: str, options: HttpOptions) -> None:
    """Post a JSON text; an answer of 400 or above is a failure that does not show the address.

    The address of an incoming webhook is itself a secret.
    """
    request = HttpProperties(
        uri=url, method="POST", body=body, content_type="application/json", options=options
    )
    with sent(ctx, request) as response:
        answer = text_of(response, limit=SHOWN * 4, cut=True)
        if response.status_code >= 400:
            raise TaskFailed(f"Slack answered with {response.status_code}: {answer[:SHOWN]}")
