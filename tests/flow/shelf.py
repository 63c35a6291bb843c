"""A small catalogue and the shortest way to a checked flow."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import dedent, indent

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from penstock_runner.flow.catalogue import TypeInfo
from penstock_runner.flow.check import check
from penstock_runner.flow.faults import Fault
from penstock_runner.flow.parse import Parsed, parse_flow
from penstock_runner.flow.types import canonical

LOG = "io.kestra.plugin.core.log.Log"
RETURN = "io.kestra.plugin.core.debug.Return"
SHELL = "io.kestra.plugin.scripts.shell.Commands"
FOR_EACH = "io.kestra.plugin.core.flow.ForEach"
PROCESS = "io.kestra.plugin.core.runner.Process"


class _Properties(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Log(_Properties):
    message: object
    level: str = "INFO"
    repeat: int = 1


class Return(_Properties):
    format: str | None = None


class Options(_Properties):
    fail_fast: bool = True


class Shell(_Properties):
    commands: list[str]
    options: Options | None = None
    task_runner: dict[str, object] | None = None


class Process(_Properties):
    pass


class ForEach(_Properties):
    values: object
    concurrency_limit: int = 1


class Shelf:
    """Knows a few types, and one family by name only."""

    def find(self, name: str) -> TypeInfo | None:
        present = canonical(name)
        known: dict[str, type[BaseModel]] = {LOG: Log, RETURN: Return, SHELL: Shell}
        if present in known:
            return TypeInfo(name=present, kind="task", properties=known[present])
        if present == FOR_EACH:
            return TypeInfo(name=present, kind="task", properties=ForEach, flowable=True)
        if present == PROCESS:
            return TypeInfo(name=present, kind="taskrunner", properties=Process)
        if present.startswith("io.kestra.plugin.aws."):
            return TypeInfo(name=present, kind="task", available=False)
        return None

    def similar(self, name: str) -> Sequence[str]:
        return [LOG] if name.endswith("Lag") else []


def flow_text(tasks: str, more: str = "") -> str:
    """The text of a flow `team.one`; its tasks start at line 4."""
    return (
        f"id: one\nnamespace: team\ntasks:\n{indent(dedent(tasks).strip(), '  ')}\n{dedent(more)}"
    )


def a_log(id_: str = "it", more: str = "") -> str:
    """One task on one line."""
    return f"- {{id: {id_}, type: {LOG}, message: hi{', ' if more else ''}{more}}}"


def read(text: str, path: str = "one.yml") -> tuple[Parsed, list[Fault]]:
    """The flow and everything that is wrong with it."""
    parsed = parse_flow(text, path)
    return parsed, [*parsed.faults, *check(parsed, Shelf())]


def told(text: str) -> list[tuple[str, int, str]]:
    """Code, line and message of every fault."""
    return [(fault.code, fault.line, fault.message) for fault in read(text)[1]]


def codes(text: str) -> list[str]:
    """The codes of all faults."""
    return [fault.code for fault in read(text)[1]]
