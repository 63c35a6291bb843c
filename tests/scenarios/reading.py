"""What scenarios look at in an execution."""

from __future__ import annotations

from typing import Any

from tests.live import Service


def state(execution: dict[str, Any]) -> str:
    """The state of an execution or a task run."""
    return str(execution["state"]["current"])


def runs(execution: dict[str, Any], task_id: str) -> list[dict[str, Any]]:
    """The task runs of a task."""
    return [run for run in execution.get("taskRunList") or () if run["taskId"] == task_id]


def messages(service: Service, execution_id: str) -> list[str]:
    """What an execution has logged."""
    return [line["message"] for line in service.get(f"/api/v1/main/logs/{execution_id}").json()]


def executions_of(service: Service, namespace: str, flow_id: str) -> list[dict[str, Any]]:
    """The executions of a flow, newest first."""
    answer = service.get(
        "/api/v1/main/executions", params={"namespace": namespace, "flowId": flow_id, "size": 100}
    )
    found: list[dict[str, Any]] = answer.json()["results"]
    return found
