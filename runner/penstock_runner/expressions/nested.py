"""Texts that are rendered within another rendering: `render`, deep values, the recursive setting.

How often, how deep and how much is bounded; raw blocks are put back when all rounds are over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from penstock_runner.expressions import limits
from penstock_runner.expressions.errors import RenderLimit
from penstock_runner.expressions.scope import Frame

if TYPE_CHECKING:
    from penstock_runner.expressions.environment import Template


def deep(value: object, frame: Frame, *, recursive: bool) -> object:
    """Every text in maps and lists rendered, keys too; the first of two equal keys wins."""
    frame.step()
    if isinstance(value, str):
        return text(value, frame, recursive=recursive)
    if isinstance(value, Mapping):
        rendered: dict[object, object] = {}
        for key, item in value.items():
            name = text(key, frame, recursive=recursive) if isinstance(key, str) else key
            if name not in rendered:
                rendered[name] = deep(item, frame, recursive=recursive)
        return rendered
    if isinstance(value, (list, tuple, set, frozenset)):
        return [deep(item, frame, recursive=recursive) for item in value]
    return value


def text(source: str, frame: Frame, *, recursive: bool) -> str:
    """A text rendered with the variables of a frame, until it stays the same if asked."""
    if "{" not in source:
        return source
    inner = _inside(frame)
    if inner.nesting > limits.NESTING:
        raise RenderLimit("Too many rendering attempts")
    rendered = _rounds(source, inner, limits.ROUNDS if recursive else 1)
    frame.rerendered = inner.rerendered
    return rendered


def again(rendered: str, frame: Frame) -> str:
    """A rendered text rendered again until it stays the same."""
    return _rounds(rendered, frame, limits.ROUNDS)


def _rounds(source: str, frame: Frame, rounds: int) -> str:
    with_raw: list[Template] = []
    current = source
    for _ in range(rounds):
        if "{" not in current:
            break
        _count(current, frame)
        template = frame.expressions.compile(current)
        once = _inside(frame)
        once.nesting = frame.nesting
        rendered = template.marked(once)
        frame.rerendered = once.rerendered
        if template.has_raw:
            with_raw.append(template)
        if rendered == current:
            break
        current = rendered
    else:
        if rounds > 1:
            raise RenderLimit("Too many rendering attempts")
    for template in reversed(with_raw):
        current = template.with_raw(current)
    return current


def _count(source: str, frame: Frame) -> None:
    frame.rerendered += source.count("{{") + source.count("{%")
    if frame.rerendered > limits.RERENDERED:
        raise RenderLimit(
            f"Texts with more than {limits.RERENDERED:,} expressions in all were rendered again"
        )


def _inside(frame: Frame) -> Frame:
    return Frame(
        frame.all_variables(),
        frame.services,
        frame.expressions,
        inline=frame.inline,
        parent=frame,
    )
