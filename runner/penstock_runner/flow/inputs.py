"""The inputs of an execution: from what was given and declared to what the flow sees.

Inputs are resolved in their order, dependencies first. Rendering and encryption are given by the
caller, since this room knows no templates and no keys. An input that its condition disables is
dropped, whatever was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock_runner.flow.literals import is_template
from penstock_runner.flow.model import Input, Output
from penstock_runner.flow.values import BadValue, coerce, shown

Render = Callable[[str, Mapping[str, object]], object]
Encrypt = Callable[[str], str]

DEFAULT_EXTENSION = ".upl"
_NO_KEY = "Unable to use a `SECRET` input/output as encryption is not configured"
_CHOICES = ("ENUM", "SELECT", "MULTISELECT")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputError:
    """Why one input is refused; `condition` marks those that do not stop a start."""

    id: str
    message: str
    condition: bool = False

    def __str__(self) -> str:
        return f"{self.id}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedInput:
    """One declared input and what became of it; a disabled one still shows what was given."""

    input: Input
    value: object = None
    enabled: bool = True
    error: InputError | None = None
    options: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """All inputs; `values` is what goes into the execution, dotted ids nested."""

    values: Mapping[str, object] = field(default_factory=dict)
    errors: tuple[InputError, ...] = ()
    inputs: tuple[ResolvedInput, ...] = ()

    @property
    def blocking(self) -> tuple[InputError, ...]:
        """The errors that stop a start."""
        return tuple(error for error in self.errors if not error.condition)

    def find(self, input_id: str) -> ResolvedInput | None:
        """What became of one input."""
        return next((one for one in self.inputs if one.input.id == input_id), None)


class NestingConflict(ValueError):
    """Two dotted keys want the same place."""


def resolve(
    inputs: Sequence[Input],
    given: Mapping[str, object],
    *,
    render_typed: Render,
    encrypt: Encrypt | None = None,
    collect: bool = False,
) -> Resolved:
    """Resolve all inputs; without `collect` the first blocking error ends it."""
    resolver = _Resolver(inputs, given, render_typed, encrypt)
    for one in inputs:
        found = resolver.resolve(one.id)
        blocks = found.error is not None and not found.error.condition
        if blocks and not collect:
            break
    return resolver.result()


def resolve_outputs(
    outputs: Iterable[Output],
    rendered: Mapping[str, object],
    *,
    encrypt: Encrypt | None = None,
) -> dict[str, object]:
    """The outputs of a flow from their rendered values; the first wrong one raises `BadValue`."""
    values: dict[str, object] = {}
    for output in outputs:
        value = rendered.get(output.id)
        if value is None:
            if output.required:
                raise BadValue(_wrapped("output", output.id, "missing required output", None))
            continue
        try:
            # Only text types need text; a number that was rendered as one is still fine for them.
            if output.type in ("STRING", "SECRET") and not isinstance(value, str):
                value = shown(value)
            found = coerce(output.type, value, {})
            values[output.id] = _encrypted(found, encrypt) if output.type == "SECRET" else found
        except BadValue as error:
            raise BadValue(_wrapped("output", output.id, str(error), value)) from None
    return nest(values)


def nest(flat: Mapping[str, object]) -> dict[str, object]:
    """Dotted keys as nested maps."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        at = nested
        *path, last = key.split(".")
        if any(".".join(path[: i + 1]) in flat for i in range(len(path))):
            raise NestingConflict(f"Conflict at key: {key}")
        for step in path:
            at = at.setdefault(step, {})
        at[last] = value
    return nested


def default_values(inputs: Iterable[Input]) -> dict[str, object]:
    """The plain defaults, as expressions see them for inputs that an execution lacks."""
    flat = {one.id: one.defaults for one in inputs if one.defaults is not None}
    return nest(flat)


def file_extension(inputs: Iterable[Input], input_id: str) -> str:
    """The extension of the file of a FILE input, with its dot."""
    for one in inputs:
        if one.id == input_id and one.type == "FILE":
            extension = str(one.options.get("extension") or DEFAULT_EXTENSION)
            return extension if extension.startswith(".") else f".{extension}"
    return DEFAULT_EXTENSION


def _wrapped(what: str, name: str, reason: str, value: object) -> str:
    return f"Invalid {what} for `{name}`, {reason}, but received `{shown(value)}`"


def _encrypted(value: object, encrypt: Encrypt | None) -> object:
    if value is None:
        return None
    if encrypt is None:
        raise BadValue(_NO_KEY)
    return encrypt(str(value))


class _Disabled(Exception):
    """A condition could not be judged."""


class _Unrendered(Exception):
    """A template of an input could not be rendered."""


class _Resolver:
    def __init__(
        self,
        inputs: Sequence[Input],
        given: Mapping[str, object],
        render: Render,
        encrypt: Encrypt | None,
    ) -> None:
        self._declared = {one.id: one for one in inputs}
        self._given = given
        self._render = render
        self._encrypt = encrypt
        self._done: dict[str, ResolvedInput] = {}
        self._plain: dict[str, object] = {}
        self._open: set[str] = set()

    def resolve(self, name: str) -> ResolvedInput:
        """One input, its dependencies before it; remembered."""
        if name not in self._done:
            self._open.add(name)
            self._done[name] = self._resolve(self._declared[name])
            self._open.discard(name)
        return self._done[name]

    def result(self) -> Resolved:
        """All that was resolved, in the order of the declaration."""
        inputs = tuple(self._done[name] for name in self._declared if name in self._done)
        errors = [one.error for one in inputs if one.error is not None]
        flat = {
            one.input.id: one.value
            for one in inputs
            if one.enabled and (one.error is None or one.error.condition)
        }
        try:
            values = nest(flat)
        except NestingConflict as conflict:
            errors.append(InputError(id=str(conflict).rpartition(" ")[2], message=str(conflict)))
            values = {}
        return Resolved(values=values, errors=tuple(errors), inputs=inputs)

    def _resolve(self, one: Input) -> ResolvedInput:
        given = self._given.get(one.id)
        try:
            enabled, visible = self._condition(one)
        except _Disabled as reason:
            error = InputError(id=one.id, message=str(reason), condition=True)
            return ResolvedInput(input=one, value=given, enabled=False, error=error)
        if not enabled:
            return ResolvedInput(input=one, value=given, enabled=False)
        value: object = given
        options: tuple[str, ...] | None = None
        try:
            options = self._options(one, visible)
            if given is None:
                value = self._default(one, visible)
            if value is None and options and one.options.get("autoSelectFirst") is True:
                value = [options[0]] if one.type == "MULTISELECT" else options[0]
            return self._value(one, value, options)
        except BadValue as error:
            message = _wrapped("input", one.id, str(error), value)
            told = InputError(id=one.id, message=message)
            return ResolvedInput(input=one, value=value, error=told, options=options)

    def _condition(self, one: Input) -> tuple[bool, Mapping[str, object]]:
        depends = one.depends_on
        if not isinstance(depends, Mapping):
            return True, self._variables(None)
        names = depends.get("inputs")
        wanted = [str(name) for name in names] if isinstance(names, list | tuple) else []
        for name in wanted:
            if name in self._open:
                raise _Disabled(f"Invalid condition: '{one.id}' and '{name}' wait for each other")
            if name not in self._declared:
                raise _Disabled(f"Invalid condition: there is no input '{name}'")
        enabled = min((self.resolve(name).enabled for name in wanted), default=True)
        variables = self._variables(wanted)
        condition = depends.get("condition")
        if not enabled or condition is None:
            return enabled, variables
        if not isinstance(condition, str):
            return condition is True, variables
        try:
            return self._rendered(condition, variables) is True, variables
        except _Unrendered as error:
            raise _Disabled(f"Invalid condition: {error}") from error

    def _rendered(self, template: str, variables: Mapping[str, object]) -> object:
        try:
            return self._render(template, variables)
        except Exception as error:
            raise _Unrendered(str(error)) from error

    def _variables(self, names: Sequence[str] | None) -> Mapping[str, object]:
        """The inputs that templates may see: the dependencies, or all that came before."""
        done = self._plain if names is None else {n: self._plain.get(n) for n in names}
        known = {name: value for name, value in done.items() if name in self._plain}
        try:
            return {"inputs": nest(known)}
        except NestingConflict:
            return {"inputs": known}

    def _default(self, one: Input, variables: Mapping[str, object]) -> object:
        if not is_template(one.defaults) or not isinstance(one.defaults, str):
            return one.defaults
        try:
            return self._rendered(one.defaults, variables)
        except _Unrendered as error:
            raise BadValue(f"Cannot render 'defaults'. Cause: {error}") from error

    def _options(self, one: Input, variables: Mapping[str, object]) -> tuple[str, ...] | None:
        """The values to choose from."""
        if one.type not in _CHOICES:
            return None
        listed = one.options.get("values", one.options.get("options"))
        if isinstance(listed, list | tuple):
            return tuple(shown(item) for item in listed)
        expression = one.options.get("expression")
        if not isinstance(expression, str):
            return ()
        try:
            found = self._rendered(expression, variables)
        except _Unrendered as error:
            raise BadValue(f"Cannot render 'expression'. Cause: {error}") from error
        if not isinstance(found, list | tuple):
            message = "Invalid expression result. Expected a list of strings, but received "
            raise BadValue(message + type_name(found))
        return tuple(shown(item) for item in found if item is not None)

    def _value(self, one: Input, value: object, options: tuple[str, ...] | None) -> ResolvedInput:
        if value is None:
            if one.required:
                raise BadValue("missing required input")
            self._plain[one.id] = None
            return ResolvedInput(input=one, options=options)
        found = coerce(one.type, value, one.options)
        self._choose(one, found, options)
        self._plain[one.id] = found
        if one.type == "SECRET":
            found = _encrypted(found, self._encrypt)
        return ResolvedInput(input=one, value=found, options=options)

    def _choose(self, one: Input, found: object, options: tuple[str, ...] | None) -> None:
        if options is None or one.options.get("allowCustomValue") is True:
            return
        if one.type != "MULTISELECT" and not one.required:
            return
        chosen = found if isinstance(found, list) else [found]
        if any(shown(item) not in options for item in chosen):
            raise BadValue(f"it must match the values `{shown(list(options))}`")


def type_name(value: object) -> str:
    """What messages call the type of a value."""
    names = {str: "String", bool: "Boolean", int: "Integer", float: "Double", dict: "Map"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
