"""The expressions of a flow, judged before anything runs.

`check_expressions` finds templates that cannot be parsed, functions, filters and tests that do
not exist, and inputs and outputs of tasks that the flow does not have, each at its place in the
file. What depends on values shows only when it is rendered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from penstock_runner.expressions.errors import position
from penstock_runner.expressions.findings import Finding, Findings, Use, examine
from penstock_runner.flow.document import Document, placed, pointer_of
from penstock_runner.flow.faults import MAX_FAULTS, Fault, Severity
from penstock_runner.flow.parse import Parsed, flow_name
from penstock_runner.flow.suggestions import did_you_mean
from penstock_runner.flow.types import CORE, FOR_EACH_ITEM, SUBFLOW, canonical

_WALKED = 512 * 1024
"""Characters looked through for exact places in one flow; later faults name their value's start."""
_PARSED = 512 * 1024
"""Characters of templates parsed in one flow."""
_PROSE = frozenset(("id", "namespace", "type", "description", "documentation", "title"))
_INPUT_TEXTS = ("defaults", "prefill", "expression", "dependsOn")
_MADE_BY_ITEMS = ("_split", "_items", "_merge")
_TEMPLATE = CORE + "flow.Template"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """One text that is rendered later: `late` ones only when another text says so."""

    pointer: str
    text: str
    key: bool = False
    late: bool = False
    own_outputs: bool = True


def check_expressions(parsed: Parsed) -> tuple[Fault, ...]:
    """What is wrong in the expressions of a flow, in the order of the file."""
    data = parsed.document.data
    if not isinstance(data, Mapping) or any(f.code.startswith("YAML_") for f in parsed.errors):
        return ()
    found = list(_Checker(parsed.document, data).faults())
    name = flow_name(data)
    in_order = sorted(found, key=lambda fault: (fault.line, fault.column))
    return tuple(replace(fault, flow=name) for fault in in_order)


class _Checker:
    """Goes through one flow; counts what it spends."""

    def __init__(self, document: Document, data: Mapping[str, object]) -> None:
        self._document = document
        self._data = data
        self._walked = 0
        self._parsed = 0
        self._tasks: frozenset[str] | None = None
        self._any_outputs = False
        self._inputs: frozenset[str] | None = None

    def faults(self) -> Iterator[Fault]:
        count = 0
        for text in _texts(self._data):
            told = self._examined(text.text)
            if told is None:
                yield self._too_long(text)
                continue
            for finding in self._findings(told, text):
                yield self._fault(finding, text)
                count += 1
                if count >= MAX_FAULTS:
                    return

    def _examined(self, source: str) -> Findings | None:
        self._parsed += len(source)
        return examine(source) if self._parsed <= _PARSED else None

    def _too_long(self, text: _Text) -> Fault:
        message = "the expressions of this text are not checked: it is too long"
        fault = self._document.fault("EXPRESSION_NOT_CHECKED", message, text.pointer)
        return replace(fault, severity=Severity.NOTE)

    def _findings(self, told: Findings, text: _Text) -> Iterator[Finding]:
        yield from told.found
        if text.own_outputs:
            for use in told.uses:
                unknown = self._unknown_output if use.root == "outputs" else self._unknown_input
                if (wrong := unknown(use)) is not None:
                    yield wrong

    def _unknown_input(self, use: Use) -> Finding | None:
        """The doubt about an input that is not declared, in a flow that declares some."""
        if self._inputs is None:
            self._inputs = _input_ids(self._data)
        if not self._inputs or use.name in self._inputs:
            return None
        whole = use.hyphenated
        while whole and whole not in self._inputs:
            whole = whole.rpartition("-")[0]
        message = f"this flow has no input '{use.name}'"
        hint = did_you_mean(use.name[:60], self._inputs)
        if whole:
            message = f"'inputs.{whole}' is a subtraction: the input is '{whole}'"
            hint = f"a name with a hyphen is written inputs['{whole}']"
        return Finding(
            code="UNKNOWN_INPUT", message=message, offset=use.offset, hint=hint, doubt=True
        )

    def _unknown_output(self, use: Use) -> Finding | None:
        """The doubt about outputs of a task that is nowhere in the flow."""
        if self._tasks is None:
            named, self._any_outputs = _task_ids(self._data)
            self._tasks = frozenset(named)
        if self._any_outputs or use.name in self._tasks:
            return None
        task, hint = use.name, did_you_mean(use.name[:60], self._tasks)
        whole = use.hyphenated
        while whole and whole not in self._tasks:
            whole = whole.rpartition("-")[0]
        if whole:
            task, hint = whole, f"a name with a hyphen is written outputs['{whole}']"
            message = f"'outputs.{whole}' is a subtraction: the task is '{whole}'"
        else:
            message = f"no task of this flow is called '{task}'"
        code = "UNKNOWN_TASK_OUTPUT"
        return Finding(code=code, message=message, offset=use.offset, hint=hint, doubt=True)

    def _fault(self, finding: Finding, text: _Text) -> Fault:
        doubt = finding.doubt or text.late
        fault = Fault(
            code=finding.code,
            message=finding.message,
            path=self._document.path,
            pointer=text.pointer,
            hint=finding.hint,
            severity=Severity.WARNING if doubt else Severity.ERROR,
        )
        self._walked += finding.offset
        if text.key:
            return placed(fault, self._document.key_place(text.pointer))
        if self._walked > _WALKED:
            return placed(fault, self._document.place(text.pointer))
        line, column = position(text.text, finding.offset)
        return placed(fault, self._document.place_in(text.pointer, line, column))


def _texts(data: Mapping[str, object]) -> Iterator[_Text]:
    """Every text of a flow that is rendered, and what may be read there."""
    for name, value in data.items():
        at = pointer_of(name)
        match name:
            case "inputs":
                yield from _of_inputs(value, at)
            case "triggers":
                # A flow trigger sees the outputs of the execution that it waited for.
                yield from _below(value, at, own_outputs=False)
            case "variables":
                yield from _below(value, at, late=True)
            case _:
                if name not in _PROSE:
                    yield from _below(value, at)


def _of_inputs(value: object, pointer: str) -> Iterator[_Text]:
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, Mapping):
            for name in _INPUT_TEXTS:
                yield from _below(item.get(name), f"{pointer}/{index}/{name}", own_outputs=False)


def _below(
    value: object, pointer: str, *, late: bool = False, own_outputs: bool = True
) -> Iterator[_Text]:
    if isinstance(value, str):
        if _has_marks(value):
            yield _Text(pointer=pointer, text=value, late=late, own_outputs=own_outputs)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, str | list | dict):
                at = f"{pointer}/{index}"
                yield from _below(item, at, late=late, own_outputs=own_outputs)
    elif isinstance(value, dict):
        typed = isinstance(value.get("type"), str)
        elsewhere = typed and canonical(value["type"]) in (SUBFLOW, FOR_EACH_ITEM)
        for name, item in value.items():
            if _has_marks(name):
                at = pointer + pointer_of(name)
                yield _Text(pointer=at, text=name, key=True, late=late, own_outputs=own_outputs)
            if (typed and name in _PROSE) or not isinstance(item, str | list | dict):
                continue
            at = pointer + pointer_of(name)
            # The outputs of a called flow are rendered among the outputs of its own tasks.
            own = own_outputs and not (elsewhere and name == "outputs")
            yield from _below(item, at, late=late, own_outputs=own)


def _has_marks(text: str) -> bool:
    return "{" in text and ("{{" in text or "{%" in text or "{#" in text)


def _input_ids(data: Mapping[str, object]) -> frozenset[str]:
    """The names behind `inputs.`: of a dotted id the whole, and its first part.

    `name` is the old spelling of an input's id.
    """
    declared = data.get("inputs")
    ids = [
        str(one.get("id") or one.get("name"))
        for one in (declared if isinstance(declared, list) else ())
        if isinstance(one, Mapping)
    ]
    return frozenset((*ids, *(one.partition(".")[0] for one in ids)))


def _task_ids(data: Mapping[str, object]) -> tuple[set[str], bool]:
    """The ids of everything in a flow that may have outputs, and whether others come at run time.

    Any object with an id counts, as tasks may stand inside tasks of types that are not known here.
    """
    named: set[str] = set()
    unknown = False
    waiting: list[object] = [v for k, v in data.items() if k not in {"inputs", "triggers"}]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            id_, type_ = value.get("id"), value.get("type")
            if id_ is not None and isinstance(type_, str):
                named.add(str(id_))
                kind = canonical(type_)
                if kind == FOR_EACH_ITEM:
                    named.update(f"{id_}{part}" for part in _MADE_BY_ITEMS)
                unknown = unknown or kind == _TEMPLATE
            waiting.extend(value.values())
    return named, unknown
