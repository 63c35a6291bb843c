"""The task whose type and properties come from a template."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from penstock_runner.flow.types import canonical
from penstock_runner.flow.yaml import load_documents
from penstock_runner.tasks.api import Outputs, Result, RunContext, TaskFailed, TaskProperties, task
from penstock_runner.tasks.binding import bind
from penstock_runner.tasks.registry import Registry

OWN = "io.kestra.plugin.core.templating.TemplatedTask"


@task("io.kestra.plugin.core.templating.TemplatedTask")
class TemplatedTask(TaskProperties):
    """Run the task that `spec`, a YAML text, describes once it is rendered."""

    spec: str

    def run(self, ctx: RunContext) -> Outputs | Result | None:
        """Read the task and run it."""
        written = _read(self.spec)
        kind = canonical(str(written.get("type")))
        if kind == OWN:
            raise TaskFailed(f"The templated task cannot be of type '{OWN}'")
        registry = _registry()
        info = registry.find(kind)
        if info is None or not info.available:
            raise TaskFailed(f"Invalid type: {written.get('type')}")
        cls: type[Any] = registry.load(kind)
        if info.flowable or info.kind != "task" or not hasattr(cls, "run"):
            raise TaskFailed("The templated task must be a runnable task")
        instance = bind(cls, written, _Rendering(ctx))
        outcome: Outputs | Result | None = instance.run(ctx)
        return outcome


class _Rendering:
    """The rendering of a context, as binding asks for it."""

    def __init__(self, ctx: RunContext) -> None:
        self._ctx = ctx

    def text(self, template: str) -> str | None:
        """A template as text."""
        rendered: str | None = self._ctx.render(template)
        return rendered

    def typed(self, value: object) -> object:
        """As `deep`: what is rendered twice is text."""
        return self._ctx.render(value)

    def deep(self, value: object) -> object:
        """Texts, maps and lists through."""
        return self._ctx.render(value)


@cache
def _registry() -> Registry:
    return Registry()


def _read(text: str) -> Mapping[str, Any]:
    document = next(iter(load_documents(text)), None)
    if document is not None and document.faults:
        raise TaskFailed(f"`spec` is no YAML: {document.faults[0].message}")
    written = None if document is None else document.data
    if not isinstance(written, Mapping) or "type" not in written:
        raise TaskFailed("`spec` must be a map with a `type`")
    return written
