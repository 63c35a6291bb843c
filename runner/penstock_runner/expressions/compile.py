"""Trees of expressions become closures: `evaluate(frame) -> value`.

Each closure names its place in the source when something in it fails.  Undefined names
travel as exceptions, which cost nothing until they happen, up to the `??`, `is defined`
or `default` that guards them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from jinja2 import nodes

from penstock_runner.expressions import calls, operators
from penstock_runner.expressions.access import attribute, item
from penstock_runner.expressions.callee import Callee
from penstock_runner.expressions.calls import Evaluate
from penstock_runner.expressions.equality import equals
from penstock_runner.expressions.errors import ExpressionFailed, UndefinedVariable
from penstock_runner.expressions.filters.table import filters
from penstock_runner.expressions.functions.table import functions
from penstock_runner.expressions.purity import pure_use
from penstock_runner.expressions.scope import Frame
from penstock_runner.expressions.tests_table import TESTS
from penstock_runner.expressions.text import plain

_ARITHMETIC: dict[type[nodes.Node], tuple[operators.Binary, str]] = {
    nodes.Add: (operators.add, "addition"),
    nodes.Sub: (operators.subtract, "subtraction"),
    nodes.Mul: (operators.multiply, "multiplication"),
    nodes.Div: (operators.divide, "division"),
    nodes.Mod: (operators.modulus, "modulus"),
}
_COMPARISONS: dict[str, tuple[operators.Binary, str | None]] = {
    "eq": (equals, "equals comparison"),
    "ne": (operators.not_equals, "not equals comparison"),
    "gt": (operators.compare(operator.gt), "greater than comparison"),
    "lt": (operators.compare(operator.lt), "less than comparison"),
    "gteq": (operators.compare(operator.ge), "greater than or equals comparison"),
    "lteq": (operators.compare(operator.le), "less than or equals comparison"),
    "contains": (operators.contains, None),
    "in": (operators.inside, None),
}


def expression(node: nodes.Node) -> Evaluate:
    """The closure of any expression."""
    arithmetic = _ARITHMETIC.get(type(node))
    if arithmetic is not None and isinstance(node, nodes.BinExpr):
        return _wrapping(*arithmetic, expression(node.left), expression(node.right), node.lineno)
    compiler = _COMPILERS.get(type(node))
    if compiler is None:
        raise ExpressionFailed(f"{type(node).__name__} is not part of the language")
    compiled: Evaluate = compiler(node)
    return compiled


def _const(node: nodes.Const) -> Evaluate:
    value = node.value
    return lambda _frame: value


def _name(node: nodes.Name) -> Evaluate:
    name, offset = node.name, node.lineno

    def evaluate(frame: Frame) -> object:
        if not frame.scopes:
            try:
                return frame.variables[name]
            except KeyError:
                pass
        try:
            return frame.lookup(name)
        except UndefinedVariable as error:
            raise error.at(offset) from None

    return evaluate


def _of_null(root: str | None, key: str, offset: int) -> UndefinedVariable:
    """The error for a part of null: a root variable is named itself, else the part."""
    if root is not None:
        return UndefinedVariable(root, "It is null.", offset)
    return UndefinedVariable(key, "What it is read from is null.", offset)


def _getattr(node: nodes.Getattr) -> Evaluate:
    target, key, offset = expression(node.node), node.attr, node.lineno
    root = node.node.name if isinstance(node.node, nodes.Name) else None

    def evaluate(frame: Frame) -> object:
        value = target(frame)
        if type(value) is dict and key in value:
            return value[key]
        if value is None:
            raise _of_null(root, key, offset)
        try:
            return attribute(value, key)
        except ExpressionFailed as error:
            raise error.at(offset) from None

    return evaluate


def _getitem(node: nodes.Getitem) -> Evaluate:
    target, key, offset = expression(node.node), expression(node.arg), node.lineno
    root = node.node.name if isinstance(node.node, nodes.Name) else None

    def evaluate(frame: Frame) -> object:
        value, wanted = target(frame), key(frame)
        if type(value) is dict and type(wanted) is str and wanted in value:
            return value[wanted]
        if value is None:
            raise _of_null(root, plain(wanted), offset)
        try:
            return item(value, wanted)
        except ExpressionFailed as error:
            raise error.at(offset) from None

    return evaluate


def _wrapping(
    compute: operators.Binary, doing: str, left: Evaluate, right: Evaluate, offset: int
) -> Evaluate:
    """Arithmetic and comparisons make an undefined operand an error of their own."""

    def evaluate(frame: Frame) -> object:
        try:
            one, two = left(frame), right(frame)
        except UndefinedVariable as error:
            hint = error.hint
            said = f"{error.message}. {hint}" if hint else error.message
            raise ExpressionFailed(f"Could not perform {doing}: {said}", offset) from error
        try:
            return compute(one, two)
        except ExpressionFailed as error:
            if error.message.startswith("Could not"):
                raise error.at(offset) from None
            raise ExpressionFailed(f"Could not perform {doing}: {error.message}", offset) from error

    return evaluate


def _compare(node: nodes.Compare) -> Evaluate:
    operand = node.ops[0]
    compute, doing = _COMPARISONS[operand.op]
    left, right, offset = expression(node.expr), expression(operand.expr), node.lineno
    if doing is not None:
        return _wrapping(compute, doing, left, right, offset)

    def evaluate(frame: Frame) -> object:
        try:
            return compute(left(frame), right(frame))
        except ExpressionFailed as error:
            raise error.at(offset) from None

    return evaluate


def _logical(value: object, what: str, offset: int) -> bool:
    if value is None:
        raise ExpressionFailed(f"null value {what} and strict variables is set to true", offset)
    try:
        return operators.truth(value)
    except ExpressionFailed as error:
        raise error.at(offset) from None


def _and(node: nodes.And) -> Evaluate:
    left, right, offset = expression(node.left), expression(node.right), node.lineno
    what = "used in and operator"
    return lambda frame: (
        _logical(left(frame), what, offset) and _logical(right(frame), what, offset)
    )


def _or(node: nodes.Or) -> Evaluate:
    left, right, offset = expression(node.left), expression(node.right), node.lineno
    what = "used in and operator"
    return lambda frame: _logical(left(frame), what, offset) or _logical(right(frame), what, offset)


def _not(node: nodes.Not) -> Evaluate:
    operand, offset = expression(node.node), node.lineno
    return lambda frame: not _logical(operand(frame), "given to not()", offset)


def _unary(compute: Callable[[object], object]) -> Callable[[nodes.UnaryExpr], Evaluate]:
    def compiler(node: nodes.UnaryExpr) -> Evaluate:
        operand, offset = expression(node.node), node.lineno

        def evaluate(frame: Frame) -> object:
            value = operand(frame)
            try:
                return compute(value)
            except ExpressionFailed as error:
                raise error.at(offset) from None

        return evaluate

    return compiler


def _ternary(node: nodes.CondExpr) -> Evaluate:
    test, yes, offset = expression(node.test), expression(node.expr1), node.lineno
    no = expression(node.expr2) if node.expr2 is not None else _const(nodes.Const(None))

    def evaluate(frame: Frame) -> object:
        condition = test(frame)
        if condition is True or (condition is not None and _logical(condition, "", offset)):
            return yes(frame)
        return no(frame)

    return evaluate


def _concat(node: nodes.Concat) -> Evaluate:
    parts = [expression(part) for part in node.nodes]

    def evaluate(frame: Frame) -> object:
        values = [part(frame) for part in parts]
        return operators.joined(
            [v if isinstance(v, str) else "" if v is None else plain(v) for v in values]
        )

    return evaluate


def _list(node: nodes.List) -> Evaluate:
    items = [expression(child) for child in node.items]
    return lambda frame: [child(frame) for child in items]


def _dict(node: nodes.Dict) -> Evaluate:
    pairs = [(expression(pair.key), expression(pair.value)) for pair in node.items]

    def evaluate(frame: Frame) -> object:
        made: dict[object, object] = {}
        for key, value in pairs:
            name = key(frame)
            if isinstance(name, (dict, list)):
                raise ExpressionFailed("A map or a list cannot be the key of a map", node.lineno)
            made[name] = value(frame)
        return made

    return evaluate


def guarded(evaluate: Evaluate) -> Evaluate:
    """The value, or null where something in it is undefined."""

    def guard(frame: Frame) -> object:
        try:
            return evaluate(frame)
        except UndefinedVariable:
            return None

    return guard


def _coalesce(left: Evaluate, right: Evaluate, *, keep_null: bool) -> Evaluate:
    def evaluate(frame: Frame) -> object:
        try:
            value = left(frame)
        except UndefinedVariable:
            return right(frame)
        return right(frame) if value is None and not keep_null else value

    return evaluate


def _filter(node: nodes.Filter) -> Evaluate:
    source = node.node
    if source is None:
        raise ExpressionFailed(f"The filter '{node.name}' has nothing to work on")
    value = expression(source)
    if node.name in {"??", "???"}:
        return _coalesce(value, expression(node.args[0]), keep_null=node.name == "???")
    if node.name == "..":
        span = _compare_like(operators.span)
        return span(value, expression(node.args[0]), node.lineno)
    if node.name == "default":
        value = guarded(value)
    return filtering(node, value)


def _compare_like(compute: operators.Binary) -> Callable[[Evaluate, Evaluate, int], Evaluate]:
    def compiler(left: Evaluate, right: Evaluate, offset: int) -> Evaluate:
        def evaluate(frame: Frame) -> object:
            try:
                return compute(left(frame), right(frame))
            except ExpressionFailed as error:
                raise error.at(offset) from None

        return evaluate

    return compiler


def filtering(node: nodes.Filter, value: Evaluate) -> Evaluate:
    """A filter applied to a value that is compiled already."""
    callee = filters().get(node.name)
    if callee is None:
        return calls.missing("Filter", node.name, filters(), node.lineno)
    return _calling(callee, "filter", node, value, pure=pure_use(node, callee))


def _test(node: nodes.Test) -> Evaluate:
    value = expression(node.node)
    if node.name == "defined":
        return lambda frame: guarded(value)(frame) is not None
    callee = TESTS.get(node.name)
    if callee is None:
        return calls.missing("Test", node.name, TESTS, node.lineno)
    return _calling(callee, "test", node, value, pure=True)


def _call(node: nodes.Call) -> Evaluate:
    if isinstance(node.node, nodes.Getattr):
        return _method(node, node.node)
    name = node.node.name if isinstance(node.node, nodes.Name) else ""
    callee = functions().get(name)
    macro = _macro_call(node, name)
    if callee is None:
        return macro
    function = _calling(callee, "function", node, None, pure=callee.pure)
    hidden = name in {"render", "renderOnce"}

    def evaluate(frame: Frame) -> object:
        if name in frame.macros or (hidden and frame.expressions.recursive):
            return macro(frame)
        return function(frame)

    return evaluate


def _macro_call(node: nodes.Call, name: str) -> Evaluate:
    args, named = _given(node)
    return calls.macro_call(
        name,
        args[: len(node.args)],
        dict(zip(named, args[len(node.args) :], strict=True)),
        node.lineno,
    )


def _method(node: nodes.Call, target: nodes.Getattr) -> Evaluate:
    args, named = _given(node)
    if named:
        return calls.failing("A method takes no named arguments", node.lineno)
    return calls.method_call(expression(target.node), target.attr, args, node.lineno)


def _given(node: nodes.Filter | nodes.Test | nodes.Call) -> tuple[list[Evaluate], list[str]]:
    """The arguments, positional ones first, and the names of the named ones."""
    args = [expression(arg) for arg in node.args]
    args.extend(expression(keyword.value) for keyword in node.kwargs)
    return args, [str(keyword.key) for keyword in node.kwargs]


def _calling(
    callee: Callee,
    what: str,
    node: nodes.Filter | nodes.Test | nodes.Call,
    value: Evaluate | None,
    *,
    pure: bool,
) -> Evaluate:
    args, named = _given(node)
    use = calls.Use(callee=callee, what=what, offset=node.lineno, pure=pure)
    return calls.calling(use, value, args, named)


_COMPILERS: dict[type[nodes.Node], Callable[[Any], Evaluate]] = {
    nodes.Const: _const,
    nodes.Name: _name,
    nodes.Getattr: _getattr,
    nodes.Getitem: _getitem,
    nodes.Compare: _compare,
    nodes.And: _and,
    nodes.Or: _or,
    nodes.Not: _not,
    nodes.Neg: _unary(operators.negative),
    nodes.Pos: _unary(operators.positive),
    nodes.CondExpr: _ternary,
    nodes.Concat: _concat,
    nodes.List: _list,
    nodes.Dict: _dict,
    nodes.Filter: _filter,
    nodes.Test: _test,
    nodes.Call: _call,
}
