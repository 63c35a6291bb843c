"""Tasks and templates that only compute, run inside the executor's step.

`InlineContext` is the `RunContext` of such a task: what it logs, writes and sets is kept and
becomes part of the step's transaction. What would block (files, processes, the network) is not
there: a task that needs it is a job, and one that reaches for it all the same is told so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from penstock_runner.engine.state import State
from penstock_runner.executor.store import KvWrite
from penstock_runner.executor.values import NamespaceValues, Values
from penstock_runner.expressions.environment import Expressions
from penstock_runner.expressions.errors import NotInline
from penstock_runner.flow.model import Level
from penstock_runner.jobs.derived import derived
from penstock_runner.jobs.masking import Masker
from penstock_runner.jobs.protocol import Metric
from penstock_runner.jobs.secrets import secret_of
from penstock_runner.tasks.api import ProcessEnd, ProcessSpec
from penstock_runner.tasks.storage import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What inline work needs of its process."""

    expressions: Expressions
    secrets: Mapping[str, str]
    storage: Storage


class InlineServices:
    """What the functions of expressions may ask inside the step."""

    def __init__(
        self,
        around: Surroundings,
        values: Values,
        namespace: str,
        now: datetime,
        *,
        protected: bool,
    ) -> None:
        self._around = around
        self._values = values
        self._namespace = namespace
        self._now = now
        self._protected = protected
        self.secrets_used: list[str] = []

    @property
    def keeps_secrets(self) -> bool:
        """Whether a secret has been given out in here."""
        return bool(self.secrets_used)

    def made_of(self, given: Sequence[object], result: object) -> None:
        """What is made of a secret is masked, too."""
        masker = Masker(self.secrets_used)
        self.secrets_used.extend(derived(given, result, masker.hides))

    def now(self) -> datetime:
        """The time of the step."""
        return self._now

    def secret(self, name: str, namespace: str | None) -> str:  # noqa: ARG002 - scopes come with them
        """A secret by name, in any case."""
        value = secret_of(self._around.secrets, name, self._namespace, protected=self._protected)
        self.secrets_used.append(value)
        return value

    def kv(self, key: str, namespace: str | None) -> object:
        """A value of the key-value store."""
        return self._values.value(namespace or self._namespace, self._namespace, key, self._now)

    def random_bytes(self, count: int) -> bytes:
        """For ids and nonces."""
        return os.urandom(count)

    def read(self, uri: str) -> NoReturn:
        """Files are read by jobs."""
        raise NotInline(f"read({uri!r}) needs a runner")

    def file_size(self, uri: str) -> NoReturn:
        """Files are read by jobs."""
        raise NotInline(f"fileSize({uri!r}) needs a runner")

    def file_exists(self, uri: str) -> NoReturn:
        """Files are read by jobs."""
        raise NotInline(f"fileExists({uri!r}) needs a runner")

    def error_logs(self) -> NoReturn:
        """Logs are read by jobs."""
        raise NotInline("errorLogs() needs a runner")

    def http(self, request: Mapping[str, object]) -> NoReturn:  # noqa: ARG002
        """The network is for jobs."""
        raise NotInline("http() needs a runner")


@dataclass(slots=True)
class InlineRender:
    """Renders with the variables of one task run."""

    expressions: Expressions
    variables: Mapping[str, Any]
    services: InlineServices

    def text(self, template: str) -> str | None:
        """A template as text."""
        if "{" not in template:
            return template
        return self.expressions.render(template, self.variables, self.services, inline=True)

    def typed(self, value: object) -> object:
        """Texts through maps and lists; a lone expression keeps its type."""
        if isinstance(value, str):
            if "{" not in value:
                return value
            return self.expressions.render_typed(value, self.variables, self.services, inline=True)
        if isinstance(value, Mapping):
            return {self.text(str(k)): self.typed(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.typed(item) for item in value]
        return value

    def deep(self, value: object) -> object:
        """Texts through maps and lists, as text."""
        return self.expressions.render_deep(value, self.variables, self.services, inline=True)


@dataclass(slots=True, kw_only=True)
class InlineContext:
    """The world as a task sees it inside the step; it keeps what the task does to it."""

    around: Surroundings
    values: Values
    render_with: InlineRender
    at: datetime
    namespace: str
    flow_id: str
    execution_id: str
    task_id: str
    taskrun_id: str
    attempt: int
    write_kv: Callable[[KvWrite], None]
    lines: list[tuple[Level, str]] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    changed_variables: dict[str, object | None] = field(default_factory=dict)
    exit_state: State | None = None

    @property
    def variables(self) -> Mapping[str, object]:
        """The variables of expressions."""
        return self.render_with.variables

    @property
    def storage(self) -> Storage:
        """The internal storage."""
        return self.around.storage

    @property
    def workspace(self) -> Path:
        """A step has no working directory."""
        raise NotInline("a working directory needs a runner")

    def now(self) -> datetime:
        """The time of the step."""
        return self.at

    def render(self, value: object, more: Mapping[str, object] | None = None) -> Any:
        """Render with extra variables."""
        with_more = self.render_with
        if more:
            variables = {**with_more.variables, **more}
            with_more = InlineRender(with_more.expressions, variables, with_more.services)
        return with_more.text(value) if isinstance(value, str) else with_more.deep(value)

    def log(self, level: Level, message: str) -> None:
        """Keep a log line for the transaction of the step."""
        self.lines.append((level, message))

    def metric(
        self, name: str, kind: str, value: float, tags: Mapping[str, str] | None = None
    ) -> None:
        """Keep a measurement."""
        self.metrics.append(Metric(name=name, kind=kind, value=value, tags=tags or {}))

    def kv(self, namespace: str | None = None) -> NamespaceValues:
        """The key-value store of a namespace, the flow's own when None."""
        return self.values.open(
            namespace or self.namespace, self.namespace, self.now, self.write_kv
        )

    def set_labels(self, labels: Mapping[str, str]) -> None:
        """Put labels on the execution."""
        self.labels.update(labels)

    def set_variables(self, variables: Mapping[str, object | None]) -> None:
        """Change the execution's variables."""
        self.changed_variables.update(variables)

    def exit_execution(self, state: State) -> None:
        """Ask the execution to end."""
        self.exit_state = state

    def run_process(self, spec: ProcessSpec) -> ProcessEnd:
        """Processes are for runners."""
        raise NotInline(f"{spec.argv[0]} needs a runner")

    def on_cancel(self, stop: Callable[[], None]) -> None:
        """Nothing in a step takes long enough to be cancelled."""

    def call(self, operation: str, **arguments: object) -> NoReturn:  # noqa: ARG002
        """Only jobs call operations."""
        raise NotInline(f"{operation} needs a runner")
