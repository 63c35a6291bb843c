"""Filters, functions and tests as entries of a table, and how arguments meet parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from penstock_runner.expressions.errors import ExpressionFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """Something a template may call by name.

    `call` gets the frame first when `in_frame`, then the filtered value if it is a filter,
    then one value a parameter, None for those not given.
    """

    name: str
    call: Callable[..., object]
    parameters: tuple[str, ...] = ()
    required: int = 0
    pure: bool = True
    in_frame: bool = False
    takes_null: bool = False
    variadic: bool = False


Table = dict[str, Callee]


def offer(
    table: Table,
    name: str,
    *parameters: str,
    aliases: Sequence[str] = (),
    required: int = 0,
    pure: bool = True,
    in_frame: bool = False,
    takes_null: bool = False,
    variadic: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put the decorated function into a table under a name and its aliases."""

    def register(call: Callable[..., Any]) -> Callable[..., Any]:
        for known in (name, *aliases):
            table[known] = Callee(
                name=known,
                call=call,
                parameters=parameters,
                required=required,
                pure=pure,
                in_frame=in_frame,
                takes_null=takes_null,
                variadic=variadic,
            )
        return call

    return register


def places(callee: Callee, what: str, positional: int, named: Sequence[str]) -> list[int | None]:
    """For each parameter the index of its argument (positional ones first), None if not given."""
    limit = len(callee.parameters)
    if callee.variadic and not named:
        return list(range(positional))
    if positional > limit:
        raise ExpressionFailed(
            f"The argument at position {limit + 1} is not allowed. "
            f"Only {limit} argument(s) are allowed."
        )
    found: list[int | None] = [*range(positional), *[None] * (limit - positional)]
    for index, name in enumerate(named):
        if name not in callee.parameters:
            known = ", ".join(callee.parameters) or "none"
            raise ExpressionFailed(
                f"The {what} '{callee.name}' has no argument named '{name}' (known: {known})"
            )
        found[callee.parameters.index(name)] = positional + index
    for name, place in list(zip(callee.parameters, found, strict=True))[: callee.required]:
        if place is None:
            raise ExpressionFailed(f"The '{callee.name}' {what} expects an argument '{name}'.")
    return found
