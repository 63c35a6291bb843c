"""Renders for one job: the expression language with the variables and services of that job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_runner.expressions.environment import Expressions
from penstock_runner.jobs.services import JobServices


class JobRender:
    """Implements `binding.Render`; text without a brace needs no rendering."""

    def __init__(
        self, expressions: Expressions, variables: Mapping[str, Any], services: JobServices
    ) -> None:
        self._expressions = expressions
        self._services = services
        self.variables = variables

    def having(self, more: Mapping[str, object]) -> JobRender:
        """The same with extra variables."""
        return JobRender(self._expressions, {**self.variables, **more}, self._services)

    def text(self, template: str) -> str | None:
        """A template as text."""
        if "{" not in template:
            return template
        return self._expressions.render(template, self.variables, self._services)

    def typed(self, value: object) -> Any:
        """Texts, maps and lists through; an expression alone keeps the type of its value."""
        if isinstance(value, str):
            if "{" not in value:
                return value
            return self._expressions.render_typed(value, self.variables, self._services)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.typed(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.typed(item) for item in value]
        return value

    def deep(self, value: object) -> Any:
        """Texts, maps and lists through, every expression as text."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping | list | tuple):
            return self._expressions.render_deep(value, self.variables, self._services)
        return value
