"""jq programs: paths are walked here, everything else goes to the jq library.

A path such as `.a.b`, `.[0]` or `.[].x` is what most flows write; it takes no library and
may run anywhere.  Other programs hold the interpreter while they run, so they are not
pure: they belong into a worker that can be killed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from penstock_runner.expressions import limits
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.json_text import write
from penstock_runner.expressions.kinds import type_name

_STEP = re.compile(
    r"""\.(?P<name>[A-Za-z_]\w*)|\.?\[(?P<index>-?\d{1,9})\]|\.?(?P<each>\[\])"""
    r"""|\.(?P<quoted>"[^"\\]*")|\.?\[(?P<key>"[^"\\]*")\]""",
    re.ASCII,
)
Step = str | int | None
"""A key, an index, or None for every item."""


@lru_cache(maxsize=512)
def path(program: str) -> tuple[Step, ...] | None:
    """The steps of a program that is only a path, else None."""
    text = program.strip()
    if text == ".":
        return ()
    if not text.startswith("."):
        return None
    steps: list[Step] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None or (at == 0 and text[0] != "."):
            return None
        at = found.end()
        if found["each"]:
            steps.append(None)
        elif found["index"]:
            steps.append(int(found["index"]))
        else:
            steps.append(found["name"] or (found["quoted"] or found["key"])[1:-1])
    return tuple(steps)


def is_simple(program: object) -> bool:
    """Whether a program is only a path."""
    return isinstance(program, str) and path(program) is not None


def run(program: str, value: object) -> list[object]:
    """All results of a program over a value; a text is parsed as JSON first."""
    content = _input(value)
    steps = path(program)
    if steps is not None:
        return _walk(steps, content)
    return _library(program, content)


def _input(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ExpressionFailed(
            f"Unable to parse jq value '{value[:100]}' with type '{type_name(value)}'"
        ) from None


def _walk(steps: tuple[Step, ...], value: object) -> list[object]:
    results: list[object] = [value]
    for step in steps:
        if step is None:
            results = [item for value in results for item in _items(value)]
            limits.check_items(len(results))
        else:
            results = [_at(value, step) for value in results]
    return results


def _items(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, (list, tuple)):
        return list(value)
    raise ExpressionFailed(f"jq: Cannot iterate over {_kind(value)}")


def _at(value: object, step: str | int) -> object:
    if value is None:
        return None
    if isinstance(step, str) and isinstance(value, Mapping):
        return value.get(step)
    if isinstance(step, int) and isinstance(value, (list, tuple)):
        return value[step] if -len(value) <= step < len(value) else None
    what = f'with "{step}"' if isinstance(step, str) else "with number"
    raise ExpressionFailed(f"jq: Cannot index {_kind(value)} {what}")


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, Mapping):
        return "object"
    if isinstance(value, (list, tuple)):
        return "array"
    return "null" if value is None else "number"


@lru_cache(maxsize=128)
def _compiled(program: str) -> Any:
    import jq

    try:
        return jq.compile(program)
    except ValueError as error:
        raise ExpressionFailed(f"The jq program {program!r} is not valid: {error}") from None


def _library(program: str, value: object) -> list[object]:
    compiled = _compiled(program)
    results: list[object] = []
    try:
        for result in compiled.input_text(write(value, nulls=True)):
            results.append(result)
            limits.check_items(len(results))
    except ValueError as error:
        raise ExpressionFailed(f"jq: {error}") from None
    return results
