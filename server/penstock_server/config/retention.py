"""How long the past is kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator

from penstock_runner.flow import durations
from penstock_server.config.section import Section

FOREVER = "forever"


def _age(value: object) -> object:
    if value is None or value == FOREVER:
        return value
    found = durations.parse(value)
    if found <= timedelta():
        raise ValueError(f"{value} is no age: write P90D, or `{FOREVER}`")
    return found


Age = Annotated[timedelta | Literal["forever"], BeforeValidator(_age)]


class RetentionRule(Section):
    """How long what belongs to an ended execution is kept; None: as the namespace above says."""

    executions: Age | None = None
    logs: Age | None = None
    files: Age | None = None

    def said(self) -> dict[str, Age]:
        """What this rule says itself, by name."""
        ages = {"executions": self.executions, "logs": self.logs, "files": self.files}
        return {name: age for name, age in ages.items() if age is not None}


class RetentionSection(RetentionRule):
    """How long the past is kept, for all and by namespace; nothing said means for ever."""

    namespaces: Mapping[str, RetentionRule] = {}

    def of(self, namespace: str) -> Mapping[str, Age]:
        """What holds for a namespace: each age from the nearest of it and those above it."""
        found = self.said()
        parts = namespace.split(".")
        for end in range(1, len(parts) + 1):
            rule = self.namespaces.get(".".join(parts[:end]))
            found.update({} if rule is None else rule.said())
        return found

    @property
    def shortest(self) -> timedelta | None:
        """The shortest age that anything is given; None when nothing ever goes."""
        rules = (self, *self.namespaces.values())
        ages = [age for rule in rules for age in rule.said().values()]
        return min((age for age in ages if isinstance(age, timedelta)), default=None)
