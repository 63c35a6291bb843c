"""What a template can see while it is rendered: variables, loop and macro scopes, the world."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from penstock_runner.expressions import limits
from penstock_runner.expressions.errors import NotInline, RenderLimit, UndefinedVariable

if TYPE_CHECKING:
    from penstock_runner.expressions.environment import Expressions, Services

MISSING = object()
"""Stands for an argument that was not given."""

RENAMED = {
    "env": "envs",
    "variables": "vars",
    "var": "vars",
    "input": "inputs",
    "output": "outputs",
    "label": "labels",
    "outputDirs": "outputDir",
    "workingdir": "workingDir",
    "taskRun": "taskrun",
    "flows": "flow",
    "executions": "execution",
    "triggers": "trigger",
    "global": "globals",
}


class Macro(Protocol):
    """A macro of a template, ready to be called."""

    def __call__(self, frame: Frame, args: list[object], named: dict[str, object]) -> str:
        """The text it writes."""


class Frame:
    """One rendering: created for it, thrown away after it."""

    __slots__ = (
        "blocks",
        "expressions",
        "inline",
        "macros",
        "nesting",
        "rerendered",
        "scopes",
        "services",
        "steps",
        "variables",
    )

    def __init__(
        self,
        variables: Mapping[str, object],
        services: Services,
        expressions: Expressions,
        *,
        inline: bool = False,
        parent: Frame | None = None,
    ) -> None:
        self.variables = variables
        self.services = services
        self.expressions = expressions
        self.inline = inline
        self.scopes: list[dict[str, object]] = []
        self.blocks: dict[str, Callable[[Frame], str]] = {}
        self.macros: dict[str, Macro] = {}
        self.steps = 0
        self.nesting: int = 0 if parent is None else parent.nesting + 1
        self.rerendered: int = 0 if parent is None else parent.rerendered

    def lookup(self, name: str) -> object:
        """The value of a name, the innermost scope first."""
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        try:
            return self.variables[name]
        except KeyError:
            variables = self.variables
            raise UndefinedVariable(name, lambda: root_hint(name, variables)) from None

    def assign(self, name: str, value: object) -> None:
        """Set a name where it already is, else in the innermost scope."""
        for scope in reversed(self.scopes):
            if name in scope:
                scope[name] = value
                return
        if not self.scopes:
            self.scopes.append({})
        self.scopes[-1][name] = value

    def all_variables(self) -> Mapping[str, object]:
        """Everything that a nested rendering sees."""
        if not self.scopes:
            return self.variables
        merged = dict(self.variables)
        for scope in self.scopes:
            merged.update(scope)
        return merged

    def step(self) -> None:
        """Count one turn of a loop, or one value rendered deeply."""
        self.steps += 1
        if self.steps > limits.ITEMS:
            raise RenderLimit(f"The template takes more than {limits.ITEMS:,} steps")

    def refuse_inline(self, what: str) -> None:
        """Stop when this rendering may only use what is quick and pure."""
        if self.inline:
            raise NotInline(f"{what} cannot run inside the executor's step")


def root_hint(name: str, variables: Mapping[str, object]) -> str:
    """How a root variable that is not there was probably meant."""
    renamed = RENAMED.get(name)
    if renamed:
        return f"Did you mean `{renamed}`?"
    near = next((known for known in variables if known.lower() == name.lower()), None)
    return f"Did you mean `{near}`?" if near else ""
