"""A parsed source ready to run, with what is known about it beforehand."""

from __future__ import annotations

from functools import cache

from jinja2 import nodes

from penstock_runner.expressions import analyse, limits
from penstock_runner.expressions.calls import Evaluate
from penstock_runner.expressions.compile import expression
from penstock_runner.expressions.errors import ExpressionFailed, ExpressionSyntax, RenderLimit
from penstock_runner.expressions.grammar import Dialect
from penstock_runner.expressions.parser import parse
from penstock_runner.expressions.scope import Frame
from penstock_runner.expressions.tags import Output, Run, TextOutput, TypedOutput, body
from penstock_runner.expressions.text import printed

_TOO_MUCH = (RecursionError, MemoryError)
_UNEXPECTED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@cache
def _dialect() -> Dialect:
    return Dialect()


def tree_of(source: str) -> nodes.Template:
    """The tree of a source without raw blocks, or `ExpressionSyntax`."""
    return parse(source, _dialect())


class Program:
    """The closures of one source."""

    __slots__ = ("_parts", "_run", "filters", "functions", "pure", "roots", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        tree = tree_of(source)
        try:
            self._parts = _prints_only(tree)
            self._run: Run | None = None
            if self._parts is None:
                self._run = body(_macros_first(tree.body))
            facts = analyse.examine(tree)
        except RecursionError:
            raise ExpressionSyntax("The expression is nested too deeply", 1, 1, source) from None
        except ExpressionFailed as error:
            raise ExpressionSyntax(error.message, 1, 1, source) from None
        self.pure, self.roots = facts.pure, facts.roots
        self.functions, self.filters = facts.functions, facts.filters

    def text(self, frame: Frame) -> str:
        """The source rendered as text."""
        try:
            if self._parts is not None:
                texts = [
                    part if isinstance(part, str) else printed(part(frame)) for part in self._parts
                ]
                limits.check_text(sum(map(len, texts)))
                return "".join(texts)
            output = TextOutput()
            self._write(frame, output)
            return output.result()
        except ExpressionFailed as error:
            raise error.within(self.source) from error.__cause__
        except _TOO_MUCH as error:
            raise self._too_much() from error
        except _UNEXPECTED as error:
            raise self._unexpected(error) from error

    def typed(self, frame: Frame) -> object:
        """The source rendered to a value."""
        try:
            output = TypedOutput()
            self._write(frame, output)
            return output.result()
        except ExpressionFailed as error:
            raise error.within(self.source) from error.__cause__
        except _TOO_MUCH as error:
            raise self._too_much() from error
        except _UNEXPECTED as error:
            raise self._unexpected(error) from error

    def _write(self, frame: Frame, output: Output) -> None:
        if self._run is not None:
            self._run(frame, output)
        for part in self._parts or ():
            if isinstance(part, str):
                output.literal(part)
            else:
                output.value(part(frame))

    def _too_much(self) -> ExpressionFailed:
        return RenderLimit("The expression needs too much memory or depth").within(self.source)

    def _unexpected(self, error: Exception) -> ExpressionFailed:
        return ExpressionFailed(f"The expression failed: {error}").within(self.source)


def _macros_first(children: list[nodes.Node]) -> list[nodes.Node]:
    """Macros may be called before the place where they stand."""
    return sorted(children, key=lambda child: not isinstance(child, nodes.Macro))


def _prints_only(tree: nodes.Template) -> list[str | Evaluate] | None:
    """The parts of a template without tags, which most are."""
    children: list[nodes.Node] = []
    for child in tree.body:
        if not isinstance(child, nodes.Output):
            return None
        children.extend(child.nodes)
    return [
        node.data if isinstance(node, nodes.TemplateData) else expression(node)
        for node in children
        if isinstance(node, nodes.Expr)
    ]
