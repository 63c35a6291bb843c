"""Calls of filters, functions, tests, macros and methods, with their arguments in place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from penstock_runner.expressions.access import call
from penstock_runner.expressions.callee import Callee, places
from penstock_runner.expressions.elsewhere import INSTEAD
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.functions.table import functions
from penstock_runner.expressions.scope import Frame

Evaluate = Callable[[Frame], object]
_UNEXPECTED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One place in a source where an entry of a table is called."""

    callee: Callee
    what: str
    offset: int
    pure: bool


def calling(
    use: Use, value: Evaluate | None, given: Sequence[Evaluate], named: Sequence[str]
) -> Evaluate:
    """The call of a filter, test or function; arguments meet parameters once, here."""
    callee, what, offset, pure = use.callee, use.what, use.offset, use.pure
    try:
        order = places(callee, what, len(given) - len(named), named)
    except ExpressionFailed as error:
        return failing(error.message, offset)
    arguments = [_nothing if place is None else given[place] for place in order]
    name, run, in_frame = callee.name, callee.call, callee.in_frame
    first = 1 if in_frame else 0
    null_is_null = value is not None and not callee.takes_null
    told = what != "test" and name != "secret"

    def evaluate(frame: Frame) -> object:
        values: list[object] = [frame] if in_frame else []
        if value is not None:
            filtered = value(frame)
            if filtered is None and null_is_null:
                return None
            values.append(filtered)
        if not pure:
            frame.refuse_inline(f"The {what} '{name}'")
        values.extend([argument(frame) for argument in arguments])
        try:
            result = run(*values)
        except ExpressionFailed as error:
            raise error.at(offset) from error.__cause__
        except _UNEXPECTED as error:
            raise ExpressionFailed(f"The {what} '{name}' failed: {error}", offset) from error
        if told and frame.services.keeps_secrets:
            frame.services.made_of(values[first:], result)
        return result

    return evaluate


def _nothing(_frame: Frame) -> object:
    return None


def failing(message: str, offset: int) -> Evaluate:
    """What cannot be called fails when it is reached, as a dead branch may hold it."""

    def evaluate(_frame: Frame) -> object:
        raise ExpressionFailed(message, offset)

    return evaluate


def missing(what: str, name: str, known: Iterable[str], offset: int) -> Evaluate:
    """The call of a filter, test or function that does not exist."""
    return failing(f"{what} [{name}] does not exist.{_meant(name, known)}", offset)


def _meant(name: str, known: Iterable[str]) -> str:
    instead = INSTEAD.get(name)
    if instead is not None:
        return f" {instead[0].upper()}{instead[1:]}."
    from difflib import get_close_matches

    near = get_close_matches(name[:40], known, n=1, cutoff=0.75)
    return f" Did you mean `{near[0]}`?" if near else ""


def macro_call(
    name: str, args: Sequence[Evaluate], named: Mapping[str, Evaluate], offset: int
) -> Evaluate:
    """The call of a macro of the template."""

    def evaluate(frame: Frame) -> object:
        macro = frame.macros.get(name)
        if macro is None:
            hint = _meant(name, functions())
            raise ExpressionFailed(f"Function or Macro [{name}] does not exist.{hint}", offset)
        positional = [arg(frame) for arg in args]
        try:
            return macro(frame, positional, {key: value(frame) for key, value in named.items()})
        except ExpressionFailed as error:
            raise error.at(offset) from None

    return evaluate


def method_call(target: Evaluate, name: str, args: Sequence[Evaluate], offset: int) -> Evaluate:
    """The call of one of the few methods that values have."""

    def evaluate(frame: Frame) -> object:
        try:
            return call(target(frame), name, [arg(frame) for arg in args])
        except ExpressionFailed as error:
            raise error.at(offset) from None

    return evaluate
