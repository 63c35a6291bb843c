"""Live news of executions for the processes that follow them, sent after each commit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from penstock_runner.executor.store import Batch
from penstock_runner.jobs.frames import Channel
from penstock_server.core.shapes import execution_to_json

EVERYTHING = "*"


class Followers:
    """Who follows what; a `Listener` of the executor.

    A topic is an execution's id, for its state and its log lines, or `*`, for the states of all.
    """

    def __init__(self) -> None:
        self._topics: dict[str, set[Channel]] = {}

    def follow(self, channel: Channel, topic: str) -> None:
        """The process wants news of the topic."""
        self._topics.setdefault(topic, set()).add(channel)

    def unfollow(self, channel: Channel, topic: str) -> None:
        """It has enough of it."""
        rest = self._topics.get(topic, set())
        rest.discard(channel)
        if not rest:
            self._topics.pop(topic, None)

    def leave(self, channel: Channel) -> None:
        """The process is gone."""
        for topic in list(self._topics):
            self.unfollow(channel, topic)

    def committed(self, batch: Batch) -> None:
        """Tell what the batch changed."""
        if not self._topics:
            return
        if EVERYTHING in self._topics:
            self._send(
                EVERYTHING, (_brief(batch, execution_id) for execution_id in batch.executions)
            )
        # Who follows reads the lines from the store: a flood of them is not sent a second way.
        last = {row.execution_id: row.n for row in batch.logs}
        for topic in last.keys() & self._topics.keys():
            self._send(topic, [{"type": "logs", "topic": topic, "last": last[topic]}])
        for topic in batch.executions.keys() & self._topics.keys():
            self._send(topic, [_whole(batch, topic)])

    def _send(self, topic: str, messages: Iterable[dict[str, Any]]) -> None:
        found = list(messages)
        for channel in self._topics.get(topic, ()):
            channel.send(*found)


def _brief(batch: Batch, execution_id: str) -> dict[str, Any]:
    execution = batch.executions[execution_id].execution
    return {
        "type": "execution",
        "topic": EVERYTHING,
        "execution_id": execution_id,
        "namespace": execution.namespace,
        "flow_id": execution.flow_id,
        "state": execution.state.value,
    }


def _whole(batch: Batch, execution_id: str) -> dict[str, Any]:
    execution = batch.executions[execution_id].execution
    return {
        "type": "execution",
        "topic": execution_id,
        "execution_id": execution_id,
        "state": execution.state.value,
        "ended": execution.state.terminal,
        "execution": execution_to_json(execution),
    }
