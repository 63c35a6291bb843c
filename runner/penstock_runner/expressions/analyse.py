"""What a template uses, found without rendering it: decides where it may run."""

from __future__ import annotations

from dataclasses import dataclass

from jinja2 import nodes

from penstock_runner.expressions.filters.table import filters
from penstock_runner.expressions.functions.table import functions
from penstock_runner.expressions.purity import pure_use

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
    assigned, macros = bound(tree)
    names = _variables(tree)
    looping = any(tree.find(tag) for tag in (nodes.For, nodes.Assign, nodes.Macro, nodes.Block))
    return Facts(
        pure=not looping
        and all(map(_pure_filter, used))
        and all(name in functions() and functions()[name].pure for name in called),
        functions=frozenset(called - macros),
        filters=frozenset(node.name for node in used),
        roots=frozenset(names - assigned),
    )


def _pure_filter(node: nodes.Filter) -> bool:
    callee = filters().get(node.name)
    return callee is None or pure_use(node, callee)  # an unknown one fails before it works


def bound(tree: nodes.Template) -> tuple[set[str], set[str]]:
    """Names that the template gives values itself, and its macros."""
    names = {name.name for name in tree.find_all(nodes.Name) if name.ctx in {"store", "param"}}
    macros = {macro.name for macro in tree.find_all(nodes.Macro)}
    if tree.find(nodes.For) is not None:
        names.add("loop")
    if macros:
        names.add("_context")
    return names, macros


def _variables(tree: nodes.Template) -> set[str]:
    callees = {id(call.node) for call in tree.find_all(nodes.Call)}
    return {
        name.name
        for name in tree.find_all(nodes.Name)
        if name.ctx == "load" and id(name) not in callees
    }
