"""Prints and tags become closures that write: `run(frame, output)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from jinja2 import nodes

from penstock_runner.expressions import limits
from penstock_runner.expressions.calls import Evaluate
from penstock_runner.expressions.compile import expression, filtering
from penstock_runner.expressions.errors import ExpressionFailed, RenderLimit, UndefinedVariable
from penstock_runner.expressions.operators import sum_of_prints, truth
from penstock_runner.expressions.scope import Frame
from penstock_runner.expressions.text import plain, printed


class Output(Protocol):
    """Where a template writes."""

    def literal(self, text: str) -> None:
        """Text of the template itself."""

    def value(self, value: object) -> None:
        """A printed value."""


Run = Callable[[Frame, Output], None]


class TextOutput:
    """Collects text, up to the limit."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._size = 0

    def literal(self, text: str) -> None:
        """Text of the template itself."""
        self._size += len(text)
        limits.check_text(self._size)
        self._parts.append(text)

    def value(self, value: object) -> None:
        """A printed value."""
        self.literal(printed(value))

    def result(self) -> str:
        """All of it."""
        return "".join(self._parts)


class TypedOutput:
    """Keeps one printed value as it is; joins as text when literal text stands beside it."""

    __slots__ = ("_literal", "_parts")

    def __init__(self) -> None:
        self._parts: list[object] = []
        self._literal = False

    def literal(self, text: str) -> None:
        """Text of the template itself."""
        self._literal = True
        self._put(text)

    def value(self, value: object) -> None:
        """A printed value; null is nothing."""
        if value is not None:
            self._put(value)

    def _put(self, value: object) -> None:
        self._parts.append(value)
        limits.check_items(len(self._parts))

    def result(self) -> object:
        """The value, the sum of numbers, or the joined text."""
        if not self._parts:
            return None
        if len(self._parts) > 1 and (
            self._literal or all(isinstance(part, str) for part in self._parts)
        ):
            text = TextOutput()
            for part in self._parts:
                text.value(part)
            return text.result()
        first, *others = self._parts
        for other in others:
            first = sum_of_prints(first, other)
        return first


def body(children: Sequence[nodes.Node]) -> Run:
    """Several nodes, one after the other."""
    runs = [_node(child) for child in children]
    if len(runs) == 1:
        return runs[0]

    def run(frame: Frame, output: Output) -> None:
        for child in runs:
            child(frame, output)

    return run


def _node(node: nodes.Node) -> Run:
    compiled: Run = _COMPILERS[type(node)](node)
    return compiled


def _output(node: nodes.Output) -> Run:
    parts: list[tuple[str, Evaluate | None]] = [
        (child.data, None) if isinstance(child, nodes.TemplateData) else ("", expression(child))
        for child in node.nodes
    ]

    def run(frame: Frame, output: Output) -> None:
        for text, evaluate in parts:
            if evaluate is None:
                output.literal(text)
            else:
                output.value(evaluate(frame))

    return run


def _if(node: nodes.If) -> Run:
    branches = [
        (expression(branch.test), branch.lineno, body(branch.body))
        for branch in [node, *node.elif_]
    ]
    otherwise = body(node.else_)

    def run(frame: Frame, output: Output) -> None:
        for test, offset, then in branches:
            if _condition(test, offset, frame):
                then(frame, output)
                return
        otherwise(frame, output)

    return run


def _condition(test: Evaluate, offset: int, frame: Frame) -> bool:
    message = "Wrong operand(s) type in conditional expression"
    try:
        value = test(frame)
    except UndefinedVariable as error:
        raise ExpressionFailed(f"{message}: {error.message}", offset) from error
    if value is None:
        raise ExpressionFailed(
            f"{message}: null value given to if statement and strict variables is set to true",
            offset,
        )
    try:
        return truth(value)
    except ExpressionFailed as error:
        raise ExpressionFailed(f"{message}: {error.message}", offset) from error


def _for(node: nodes.For) -> Run:
    items, turn, otherwise = expression(node.iter), body(node.body), body(node.else_)
    name = node.target.name if isinstance(node.target, nodes.Name) else ""
    offset = node.lineno

    def run(frame: Frame, output: Output) -> None:
        values = _items(items(frame), offset)
        if values is None:
            return
        scope: dict[str, object] = {}
        frame.scopes.append(scope)
        try:
            for index, value in enumerate(values):
                frame.step()
                scope.clear()
                scope[name] = value
                scope["loop"] = _loop(index, len(values))
                turn(frame, output)
        finally:
            frame.scopes.pop()
        if not values:
            otherwise(frame, output)

    return run


def _loop(index: int, length: int) -> dict[str, object]:
    return {
        "index": index,
        "length": length,
        "first": index == 0,
        "last": index == length - 1,
        "revindex": length - 1 - index,
    }


def _items(value: object, offset: int) -> Sequence[object] | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return [{"key": key, "value": item} for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise ExpressionFailed(f"Not an iterable object. Value = [{plain(value)[:100]}]", offset)


def _set(node: nodes.Assign) -> Run:
    value = expression(node.node)
    name = node.target.name if isinstance(node.target, nodes.Name) else ""

    def run(frame: Frame, _output: Output) -> None:
        frame.assign(name, value(frame))

    return run


def _block(node: nodes.Block) -> Run:
    content, name = body(node.body), node.name

    def text(frame: Frame) -> str:
        inner = TextOutput()
        _nested(frame, lambda: content(frame, inner))
        return inner.result()

    def run(frame: Frame, output: Output) -> None:
        frame.blocks[name] = text
        content(frame, output)

    return run


def _macro(node: nodes.Macro) -> Run:
    content, name, offset = body(node.body), node.name, node.lineno
    names = [arg.name for arg in node.args]
    defaults = [expression(default) for default in node.defaults]

    def macro(frame: Frame, args: list[object], named: dict[str, object]) -> str:
        if len(args) > len(names):
            raise ExpressionFailed(
                f"The argument at position {len(names) + 1} is not allowed. "
                f"Only {len(names)} argument(s) are allowed."
            )
        scope = {key: default(frame) for key, default in zip(names, defaults, strict=True)}
        scope.update(zip(names, args, strict=False))
        for key, value in named.items():
            if key not in scope:
                raise ExpressionFailed(f"The macro '{name}' has no argument named '{key}'")
            scope[key] = value
        return _run_macro(frame, content, scope)

    def run(frame: Frame, _output: Output) -> None:
        if name in frame.macros:
            raise ExpressionFailed(
                f"More than one macro can not share the same name: {name}", offset
            )
        frame.macros[name] = macro

    return run


def _run_macro(frame: Frame, content: Run, scope: dict[str, object]) -> str:
    """A macro sees its arguments and the other macros, not the variables."""
    inner = TextOutput()
    variables, scopes = frame.variables, frame.scopes
    scope.setdefault("_context", frame.all_variables())

    def run() -> None:
        frame.variables, frame.scopes = {}, [scope]
        try:
            content(frame, inner)
        finally:
            frame.variables, frame.scopes = variables, scopes

    _nested(frame, run)
    return inner.result()


def _nested(frame: Frame, run: Callable[[], None]) -> None:
    """Macros and blocks that call themselves must end."""
    frame.nesting += 1
    frame.step()
    try:
        if frame.nesting > limits.NESTING * 2:
            raise RenderLimit("The macros and blocks of the template call one another too deeply")
        run()
    finally:
        frame.nesting -= 1


def _filter_block(node: nodes.FilterBlock) -> Run:
    content = body(node.body)
    chain: list[nodes.Filter] = []
    step: nodes.Expr | None = node.filter
    while isinstance(step, nodes.Filter):
        chain.append(step)
        step = step.node

    def text(frame: Frame) -> object:
        inner = TextOutput()
        content(frame, inner)
        return inner.result()

    value: Evaluate = text
    for link in reversed(chain):
        value = filtering(link, value)
    filtered = value

    def run(frame: Frame, output: Output) -> None:
        output.value(filtered(frame))

    return run


_COMPILERS: dict[type[nodes.Node], Callable[[Any], Run]] = {
    nodes.Output: _output,
    nodes.If: _if,
    nodes.For: _for,
    nodes.Assign: _set,
    nodes.Block: _block,
    nodes.Macro: _macro,
    nodes.FilterBlock: _filter_block,
}
