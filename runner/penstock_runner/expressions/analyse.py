"""What a template uses, found without rendering it: decides where it may run."""

from __future__ import annotations

from dataclasses import dataclass

from jinja2 import nodes

from penstock_runner.expressions.filters.table import filters
from penstock_runner.expressions.functions.table import functions

_OPERATORS = frozenset({"??", "???", ".."})


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The names that a template uses."""

    pure: bool
    functions: frozenset[str]
    filters: frozenset[str]
    roots: frozenset[str]


def examine(tree: nodes.Template) -> Facts:
    """The facts of a tree.

    A template is pure when it has no loops, blocks, macros or `set` (they can make a small
    source work for long) and calls only what is marked pure.
    """
    used = [node for node in tree.find_all(nodes.Filter) if node.name not in _OPERATORS]
    calls = list(tree.find_all(nodes.Call))
    called = {call.node.name for call in calls if isinstance(call.node, nodes.Name)}
    bound, macros = _bound(tree)
    names = _variables(tree)
    looping = tree.find((nodes.For, nodes.Assign, nodes.Macro, nodes.Block)) is not None
    return Facts(
        pure=not looping
        and all(map(_pure_filter, used))
        and all(name in functions() and functions()[name].pure for name in called),
        functions=frozenset(called - macros),
        filters=frozenset(node.name for node in used),
        roots=frozenset(names - bound),
    )


def _pure_filter(node: nodes.Filter) -> bool:
    callee = filters().get(node.name)
    if callee is None:
        return True  # it fails before it works
    if callee.pure:
        return True
    if node.name == "jq" and node.args and isinstance(node.args[0], nodes.Const):
        from penstock_runner.expressions.jq import is_simple

        return is_simple(node.args[0].value)
    if node.name == "replace":
        return not any(keyword.key == "regexp" for keyword in node.kwargs) and len(node.args) < 2
    return False


def _bound(tree: nodes.Template) -> tuple[set[str], set[str]]:
    """Names that the template gives values itself, and its macros."""
    bound = {name.name for name in tree.find_all(nodes.Name) if name.ctx in {"store", "param"}}
    macros = {macro.name for macro in tree.find_all(nodes.Macro)}
    if tree.find(nodes.For) is not None:
        bound.add("loop")
    if macros:
        bound.add("_context")
    return bound, macros


def _variables(tree: nodes.Template) -> set[str]:
    callees = {id(call.node) for call in tree.find_all(nodes.Call)}
    return {
        name.name
        for name in tree.find_all(nodes.Name)
        if name.ctx == "load" and id(name) not in callees
    }
