"""A context for running one task in a test: everything in memory but the files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from penstock_runner.engine.state import State
from penstock_runner.expressions.errors import KeyExpired, UndefinedVariable
from penstock_runner.flow.model import Level
from penstock_runner.tasks.api import KvEntry, ProcessEnd, ProcessSpec, Result, TaskFailed
from penstock_runner.tasks.binding import bind
from penstock_runner.tasks.keyvalues import KeyExists, check_key, expired, make_entry
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.storage import LocalStorage

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
REGISTRY = Registry()


class Templates:
    """A small stand-in for expressions: `{{ a.b }}`, `{{ x % 2 == 0 }}` and `{{ a.b < 4 }}`."""

    def __init__(self, variables: Mapping[str, object]) -> None:
        self.variables = variables

    def text(self, template: str) -> str:
        return re.sub(r"\{\{(.*?)\}\}", lambda found: _text(self._value(found[1])), template)

    def typed(self, value: object) -> object:
        if isinstance(value, str) and (alone := re.fullmatch(r"\s*\{\{([^}]*)\}\}\s*", value)):
            return self._value(alone[1])
        return self._through(value, self.typed)

    def deep(self, value: object) -> object:
        return self._through(value, self.deep)

    def _through(self, value: object, each: Callable[[object], object]) -> object:
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(key)): each(item) for key, item in value.items()}
            case list() | tuple():
                return [each(item) for item in value]
            case _:
                return value

    def _value(self, expression: str) -> object:
        name = expression.strip()
        if found := re.fullmatch(r"(\w+) % 2 == 0", name):
            number = self._value(found[1])
            if not isinstance(number, int):
                raise UndefinedVariable(found[1])
            return number % 2 == 0
        if found := re.fullmatch(r"([\w.]+) < (\d+)", name):
            below = self._value(found[1])
            return isinstance(below, int) and below < int(found[2])
        value: object = self.variables
        for part in name.split("."):
            if not isinstance(value, Mapping) or part not in value:
                raise UndefinedVariable(part)
            value = value[part]
        return value


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class Keys:
    """The keys of one namespace."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.entries: dict[str, KvEntry] = {}
        self._now = now

    def get(self, key: str) -> KvEntry | None:
        entry = self.entries.get(check_key(key))
        if entry is not None and expired(entry, self._now()):
            del self.entries[key]
            raise KeyExpired
        return entry

    def put(
        self,
        key: str,
        value: object,
        *,
        kind: str | None = None,
        ttl: timedelta | None = None,
        overwrite: bool = True,
    ) -> None:
        previous = self.entries.get(key)
        if previous is not None and not expired(previous, self._now()) and not overwrite:
            raise KeyExists(key)
        self.entries[key] = make_entry(key, value, kind, ttl, self._now(), previous)

    def delete(self, key: str) -> bool:
        return self.entries.pop(check_key(key), None) is not None

    def keys(self, prefix: str = "") -> list[str]:
        alive = (k for k, entry in self.entries.items() if not expired(entry, self._now()))
        return sorted(key for key in alive if key.startswith(prefix))


class Context:
    """One task run of one attempt; what the task did can be looked at afterwards."""

    def __init__(self, folder: Path, **variables: object) -> None:
        self.namespace = "company.team"
        self.flow_id = "my-flow"
        self.execution_id = "x1"
        self.task_id = "task"
        self.taskrun_id = "run1"
        self.attempt = 1
        self.variables: dict[str, object] = {"flow": {"id": "my-flow"}, **variables}
        self.storage = LocalStorage(folder / "storage")
        self.moment = NOON
        self.lines: list[tuple[str, str]] = []
        self.metrics: dict[str, float] = {}
        self.stores: dict[str, Keys] = {}
        self.labels: dict[str, str] = {}
        self.changed: dict[str, object | None] = {}
        self.ended: State | None = None
        self.stops: list[Callable[[], None]] = []
        self.stopped_at_once = False
        self.calls: list[tuple[str, dict[str, object]]] = []
        self.answers: dict[str, Any] = {}
        self._folder = folder / "workspace"

    @property
    def workspace(self) -> Path:
        self._folder.mkdir(exist_ok=True)
        return self._folder

    def now(self) -> datetime:
        return self.moment

    def local_path(self, text: str) -> Path:
        if not Path(text).is_absolute():
            raise TaskFailed(f"{text!r} is no absolute path")
        return Path(text).resolve()

    def render(self, value: object, more: Mapping[str, object] | None = None) -> Any:
        templates = Templates({**self.variables, **(more or {})})
        return templates.text(value) if isinstance(value, str) else templates.deep(value)

    def log(self, level: Level, message: str) -> None:
        self.lines.append((level.value, message))

    def metric(
        self, name: str, kind: str, value: float, tags: Mapping[str, str] | None = None
    ) -> None:
        self.metrics[name] = value

    def kv(self, namespace: str | None = None) -> Keys:
        return self.stores.setdefault(namespace or self.namespace, Keys(self.now))

    def set_labels(self, labels: Mapping[str, str]) -> None:
        self.labels.update(labels)

    def set_variables(self, variables: Mapping[str, object | None]) -> None:
        self.changed.update(variables)

    def exit_execution(self, state: State) -> None:
        self.ended = state

    def run_process(self, spec: ProcessSpec) -> ProcessEnd:
        raise NotImplementedError("no task of these tests starts a process")

    def on_cancel(self, stop: Callable[[], None]) -> None:
        self.stops.append(stop)
        if self.stopped_at_once:
            stop()

    def call(self, operation: str, **arguments: object) -> Any:
        self.calls.append((operation, arguments))
        return self.answers[operation]


def run(ctx: Context, kind: str, **properties: object) -> dict[str, Any]:
    """Run one task of a core type (or of a full type name) and give its outputs."""
    name = kind if kind.startswith("io.") else f"io.kestra.plugin.core.{kind}"
    instance: Any = bind(REGISTRY.load(name), properties, Templates(ctx.variables))
    ended = instance.run(ctx)
    return dict(ended.outputs if isinstance(ended, Result) else ended or {})
