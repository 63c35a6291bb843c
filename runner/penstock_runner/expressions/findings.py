"""What one template tells before it is rendered: what is wrong in it, and which names it reads.

Most templates print plain paths such as `{{ inputs.name }}`. These are read by a pattern, so that
a file of them is checked without loading the parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from penstock_runner.expressions.elsewhere import INSTEAD, MEANT
from penstock_runner.expressions.errors import ExpressionFailed, ExpressionSyntax
from penstock_runner.expressions.raw import take_raw
from penstock_runner.expressions.scope import RENAMED
from penstock_runner.flow.positions import offset_of
from penstock_runner.flow.suggestions import did_you_mean

if TYPE_CHECKING:
    from jinja2 import nodes

    from penstock_runner.expressions.callee import Callee

MOST = 20
"""Findings kept of one template."""
LONGEST = 64 * 1024
"""Longer templates are not parsed here, unless they print plain paths only."""
USED = frozenset(("outputs", "inputs"))
"""Variables whose names stand in the flow."""
_NAME = r"[A-Za-z_]\w*"
_STEP = rf"\.{_NAME}|\[\d{{1,18}}\]|\['[^'\\\n]*'\]"
_PLAIN = re.compile(
    rf"(?<!\{{)\{{\{{-?\s*(?P<root>{_NAME})(?P<first>{_STEP})(?:{_STEP})*\s*-?\}}\}}", re.ASCII
)
_NOT_ROOTS = frozenset(
    "true TRUE false FALSE null NULL none NONE or and is contains in equals not loop".split()  # noqa: SIM905
)
_HYPHENATED = re.compile(r"\w+(?:-\w+)+")
_FOREIGN = re.compile(r"\{\{-?\s*[.$#>/&^!]|\{#|\{%-?\s*(?:include|extends|import|load|with)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong, at an offset of the source; a doubt when it may be right."""

    code: str
    message: str
    offset: int
    hint: str | None = None
    doubt: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A task or an input that is read; `hyphenated` is how far the name goes on behind a hyphen."""

    root: str
    name: str
    offset: int
    hyphenated: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What one template tells."""

    found: tuple[Finding, ...] = ()
    uses: tuple[Use, ...] = ()


def examine(source: str) -> Findings | None:
    """What a source tells; None when it is too long to say."""
    plain = _plain(source)
    if plain is not None:
        return plain
    return _parsed(source) if len(source) <= LONGEST else None


def _plain(source: str) -> Findings | None:
    """The findings of a source that prints nothing but paths, else None."""
    paths = list(_PLAIN.finditer(source))
    rest = len(paths)
    if source.count("{{") != rest or "{%" in source or "{#" in source:
        return None
    if any(match["root"] in _NOT_ROOTS for match in paths):
        return None
    found = [w for m in paths if (w := _wrong_root(m["root"], m.start("root"))) is not None]
    uses = tuple(
        Use(root=match["root"], name=match["first"].strip(".[]'"), offset=match.start("first"))
        for match in paths
        if match["root"] in USED and not match["first"][1:2].isdecimal()
    )
    return Findings(found=tuple(found[:MOST]), uses=uses)


def _wrong_root(name: str, offset: int) -> Finding | None:
    """The doubt about a variable that no flow has, but that many write."""
    right = RENAMED.get(name)
    hint = f"did you mean '{right}'?" if right else MEANT.get(name)
    if hint is None:
        return None
    message = f"there is no variable '{name}'"
    return Finding(code="UNKNOWN_VARIABLE", message=message, offset=offset, hint=hint, doubt=True)


@lru_cache(maxsize=2048)
def _parsed(source: str) -> Findings:
    from penstock_runner.expressions.program import tree_of

    try:
        raw = take_raw(source)
    except ExpressionSyntax as error:
        return Findings(found=(_syntax(error, 0, source),))
    try:
        tree = tree_of(raw.text)
    except ExpressionSyntax as error:
        offset = raw.original(offset_of(raw.text, error.line, error.column))
        return Findings(found=(_syntax(error, offset, source),))
    try:
        found = sorted(_of_tree(tree), key=lambda one: one.offset)[:MOST]
        uses = list(_uses(tree, raw.text))[:MOST]
    except RecursionError:
        message = "The expression is nested too deeply"
        return Findings(found=(Finding(code="EXPRESSION_SYNTAX", message=message, offset=0),))
    return Findings(
        found=tuple(replace(one, offset=raw.original(one.offset)) for one in found),
        uses=tuple(replace(use, offset=raw.original(use.offset)) for use in uses),
    )


def _syntax(error: ExpressionSyntax, offset: int, source: str) -> Finding:
    hint = None
    if _FOREIGN.search(source):
        hint = "put text for other template languages between {% raw %} and {% endraw %}"
    return Finding(code="EXPRESSION_SYNTAX", message=error.message, offset=offset, hint=hint)


def _of_tree(tree: nodes.Template) -> Iterator[Finding]:
    """Calls of what does not exist or with arguments it does not take, and wrong variables."""
    from jinja2 import nodes

    from penstock_runner.expressions.analyse import bound
    from penstock_runner.expressions.filters.table import filters
    from penstock_runner.expressions.functions.table import functions
    from penstock_runner.expressions.tests_table import TESTS

    variables, macros = bound(tree)
    for node in tree.find_all(nodes.Node):
        match node:
            case nodes.Getattr() | nodes.Getitem():
                root = node.node
                if isinstance(root, nodes.Name) and root.name not in variables:
                    wrong = _wrong_root(root.name, root.lineno)
                    if wrong is not None:
                        yield wrong
            case nodes.Filter() if node.name not in {"??", "???", ".."}:
                yield from _called("filter", node, node.name, filters())
            case nodes.Test() if node.name != "defined":
                yield from _called("test", node, node.name, TESTS)
            case nodes.Call(node=nodes.Name() as called) if called.name not in macros:
                yield from _called("function", node, called.name, functions())
            case _:
                pass


def _called(
    what: str,
    node: nodes.Filter | nodes.Test | nodes.Call,
    name: str,
    known: dict[str, Callee],
) -> Iterator[Finding]:
    from penstock_runner.expressions.callee import places

    callee = known.get(name)
    if callee is None:
        yield _unknown(what, name, known, node.lineno)
        return
    try:
        places(callee, what, len(node.args), [str(keyword.key) for keyword in node.kwargs])
    except ExpressionFailed as error:
        message = error.message
        if f"'{name}'" not in message:
            message = f"the {what} '{name}': {message}"
        yield Finding(code="WRONG_ARGUMENTS", message=message, offset=node.lineno, doubt=True)


def _unknown(what: str, name: str, known: Iterable[str], offset: int) -> Finding:
    code = "UNKNOWN_FUNCTION"
    instead = INSTEAD.get(name)
    if instead is not None:
        message = f"the {what} '{name}' is not available here: it fails when it is reached"
        return Finding(code=code, message=message, offset=offset, hint=instead, doubt=True)
    message = f"there is no {what} '{name}'"
    hint = did_you_mean(name[:40], known)
    if what == "function" and hint is None:
        hint = MEANT.get(name)
    return Finding(code=code, message=message, offset=offset, hint=hint)


def _uses(tree: nodes.Template, text: str) -> Iterator[Use]:
    """Where outputs of a task, or an input, are read whose name stands in the template."""
    from jinja2 import nodes

    from penstock_runner.expressions.analyse import bound

    roots = USED - set(bound(tree)[0])
    methods = {
        id(call.node) for call in tree.find_all(nodes.Call) if isinstance(call.node, nodes.Getattr)
    }
    for node in tree.find_all(nodes.Node):
        match node:
            case nodes.Getattr(node=nodes.Name(name=root)) if (
                root in roots and id(node) not in methods
            ):
                longer = _HYPHENATED.match(text, node.lineno)
                after = longer[0] if longer else ""
                yield Use(root=root, name=node.attr, offset=node.lineno, hyphenated=after)
            case nodes.Getitem(
                node=nodes.Name(name=root), arg=nodes.Const(value=str() as name) as key
            ) if root in roots:
                yield Use(root=root, name=name, offset=key.lineno)
            case _:
                pass
