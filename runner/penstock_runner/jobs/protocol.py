"""The messages between core and a runner: jobs one way, log lines and reports the other.

Each message is a frozen value with `to_wire()` and `from_wire()` (plain JSON data); `frames`
carries them. A job is one attempt of one task run, named by (execution, key, attempt): a message
about an attempt that is no longer current is late, and changes nothing.

The other messages are small plain maps, each with its `type`:

core -> runner: `cancel` {execution_id, key, attempt, force}; `answer` {call, value | error,
error_type}; `drain` {}, after which the runner ends when its jobs have.

runner -> core: `hello` {runner, labels, namespaces, protected, slots, pid}; `leaving` {}, when it
is stopped on purpose; `beat` {}, so that core knows it lives; `escalated` {execution_id, key,
attempt}, for a job whose processes had to be killed; `returned` {execution_id, key, attempt}, for a
job that it then does not begin; `started` {execution_id, key, attempt, at}; `logs` {execution_id,
key, attempt, lines: [[n, at, level, message, stream], ...]}; `call` {call, execution_id, namespace,
flow_id, operation, arguments}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self

JobId = tuple[str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One attempt of one task run, with all that its runner needs.

    `task` is the task as plain data (id, type, kind, timeout, logLevel, properties, and `branches`
    for a WorkingDirectory). `variables` are the expression variables. With `evaluate` set the job
    only renders: {"purpose", "expressions": {...}, "typed": [...]}. `ci` holds the CI_* variables
    of Git-managed flows, `protected` is whether the flow came from a protected ref.
    """

    execution_id: str
    key: str
    attempt: int
    taskrun_id: str
    namespace: str
    flow_id: str
    flow_revision: int
    task: Mapping[str, Any]
    variables: Mapping[str, Any]
    flow_env: Mapping[str, Any] = field(default_factory=dict)
    ci: Mapping[str, str] = field(default_factory=dict)
    git: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    evaluate: Mapping[str, Any] | None = None
    masks: tuple[str, ...] = ()
    protected: bool = False

    @property
    def id(self) -> JobId:
        """The name of the job everywhere."""
        return (self.execution_id, self.key, self.attempt)

    def to_wire(self) -> dict[str, Any]:
        """Plain data for a frame."""
        return {"type": "job", **{name: getattr(self, name) for name in self.__dataclass_fields__}}

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Self:
        """The job of a frame."""
        plain = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        plain["required"] = tuple(plain.get("required", ()))
        plain["masks"] = tuple(plain.get("masks", ()))
        return cls(**plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One measurement of a task: `kind` is counter or timer (seconds)."""

    name: str
    kind: str
    value: float
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a job ended. All log lines up to the number `last_line` are stored first.

    `effects` are what the task did to its execution: {"labels": {...}}, {"variables": {...}},
    {"exit": "STATE"}. `notes` are for those who look at it: annotations, and the address of a
    summary. `masks` are secrets that the job has learnt of, for the logs of later ones; they are
    stored nowhere. For a job that only rendered, `outputs` are the rendered values.
    """

    execution_id: str
    key: str
    attempt: int
    state: str
    at: datetime
    outputs: Mapping[str, Any] | None = None
    error: str | None = None
    reason: str | None = None
    exit_code: int | None = None
    effects: tuple[Mapping[str, Any], ...] = ()
    metrics: tuple[Metric, ...] = ()
    children: tuple[Mapping[str, Any], ...] = ()
    last_line: int = 0
    log_file: str | None = None
    notes: Mapping[str, Any] | None = None
    masks: tuple[str, ...] = field(default=(), repr=False)

    def to_wire(self) -> dict[str, Any]:
        """Plain data for a frame."""
        return {"type": "report", **asdict(self)}

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Self:
        """The report of a frame."""
        plain = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        plain["at"] = datetime.fromisoformat(plain["at"])
        plain["metrics"] = tuple(Metric(**m) for m in plain.get("metrics", ()))
        plain["effects"] = tuple(plain.get("effects", ()))
        plain["children"] = tuple(plain.get("children", ()))
        plain["masks"] = tuple(plain.get("masks", ()))
        return cls(**plain)
