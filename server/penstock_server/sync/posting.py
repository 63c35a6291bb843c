"""The side of the network of a report: one call of a forge, or two where one needs the other.

Nothing of the token is in an answer, and what a forge says is cut short.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_runner.git.calls import Answered, call
from penstock_runner.git.trouble import GitTrouble
from penstock_server.sync.forge_calls import Call, deployed_call
from penstock_server.sync.look import Message, remote_for

_SHOWN = 300


def post(message: Mapping[str, Any]) -> Message:
    """Answer a request: `called`, with the status of the forge's answer or the code of trouble."""
    source = message["source"]
    answer = {"type": "called", "source": source["id"], "call": message["call"]}
    try:
        answered = _posted(source, Call(**message["request"]), message["token"])
        deployment = answered.data.get("id")
        if message.get("deployment") and answered.status < 300 and isinstance(deployment, int):
            told = message["deployment"]
            second = deployed_call(told["repository"], deployment, told["text"], told["url"])
            answered = _posted(source, second, message["token"])
    except GitTrouble as trouble:
        return {
            **answer,
            "status": 0,
            "text": f"{trouble.code} {trouble.message}",
            "retry_after": trouble.retry_after,
        }
    text = answered.text.replace(message["token"], "***") if message["token"] else answered.text
    return {**answer, "status": answered.status, "text": text[:_SHOWN], "retry_after": None}


def _posted(source: Mapping[str, Any], wanted: Call, token: str) -> Answered:
    described = {name: value for name, value in source.items() if name != "auth"}
    remote = remote_for({**described, "url": wanted.url, "allow_http": source["allow_http"]})
    return call(remote, wanted.headers, f"{wanted.scheme} {token}", wanted.body)
