"""Sources become trees of Jinja2's nodes: prints, and the tags that flows may use."""

from __future__ import annotations

from typing import NoReturn

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError

from penstock_runner.expressions import limits
from penstock_runner.expressions.errors import ExpressionSyntax, position
from penstock_runner.expressions.grammar import Dialect, ExpressionParser
from penstock_runner.expressions.lexer import unexpected

_TAGS = frozenset({"if", "for", "set", "block", "macro", "filter"})
_CLOSING = frozenset({"elseif", "else", "endif", "endfor", "endblock", "endmacro", "endfilter"})


def parse(source: str, dialect: Dialect) -> nodes.Template:
    """The tree of a source, or `ExpressionSyntax` with the place of the fault."""
    try:
        return PebbleParser(dialect, source).parse()
    except TemplateSyntaxError as error:
        offset = max(error.lineno, 0)
        raise ExpressionSyntax(str(error.message), *position(source, offset), source) from None
    except RecursionError:
        raise ExpressionSyntax("The expression is nested too deeply", 1, 1, source) from None


class PebbleParser(ExpressionParser):
    """The whole grammar."""

    def parse_statement(self) -> nodes.Node | list[nodes.Node]:
        """One of the tags that flows may use."""
        token = self.stream.current
        if token.type != "name":
            self.fail(f"{unexpected(token)}, expected a tag", token.lineno)
        if token.value not in _TAGS:
            if token.value in _CLOSING:
                self.fail(f'Unexpected tag "{token.value}": no tag is open that it belongs to')
            self.fail(f'Unexpected tag name "{token.value}"')
        self.depth += 1
        if self.depth > limits.DEPTH:
            self.fail("The tags are nested too deeply")
        parsed: nodes.Node = getattr(self, f"_{token.value}_tag")()
        self.depth -= 1
        return parsed

    def _if_tag(self) -> nodes.If:
        offset = next(self.stream).lineno
        test = self.parse_expression()
        body = self.parse_statements(("name:elseif", "name:else", "name:endif"))
        result = nodes.If(test, body, [], [], lineno=offset)
        while self.stream.current.test("name:elseif"):
            offset = next(self.stream).lineno
            test = self.parse_expression()
            body = self.parse_statements(("name:elseif", "name:else", "name:endif"))
            result.elif_.append(nodes.If(test, body, [], [], lineno=offset))
        if next(self.stream).value == "else":
            result.else_ = self.parse_statements(("name:endif",), drop_needle=True)
        return result

    def _for_tag(self) -> nodes.For:
        offset = next(self.stream).lineno
        target = self.stream.expect("name")
        self.stream.expect("name:in")
        items = self.parse_expression()
        body = self.parse_statements(("name:else", "name:endfor"))
        otherwise: list[nodes.Node] = []
        if next(self.stream).value == "else":
            otherwise = self.parse_statements(("name:endfor",), drop_needle=True)
        name = nodes.Name(target.value, "store", lineno=target.lineno)
        return nodes.For(name, items, body, otherwise, None, False, lineno=offset)  # noqa: FBT003

    def _set_tag(self) -> nodes.Assign:
        offset = next(self.stream).lineno
        target = self.stream.expect("name")
        self.stream.expect("assign")
        name = nodes.Name(target.value, "store", lineno=target.lineno)
        return nodes.Assign(name, self.parse_expression(), lineno=offset)

    def _block_tag(self) -> nodes.Block:
        offset = next(self.stream).lineno
        name = self._block_name()
        body = self.parse_statements(("name:endblock",), drop_needle=True)
        if self.stream.current.type != "block_end":
            self._block_name()
        return nodes.Block(name, body, False, False, lineno=offset)  # noqa: FBT003

    def _block_name(self) -> str:
        token = self.stream.current
        if token.type not in {"name", "string"}:
            self.fail(f"{unexpected(token)}, expected the name of the block")
        return str(next(self.stream).value)

    def _macro_tag(self) -> nodes.Macro:
        offset = next(self.stream).lineno
        name = self.stream.expect("name").value
        self.stream.expect("lparen")
        args: list[nodes.Name] = []
        defaults: list[nodes.Expr] = []
        while self.stream.current.type != "rparen":
            if args:
                self.stream.expect("comma")
            token = self.stream.expect("name")
            args.append(nodes.Name(token.value, "param", lineno=token.lineno))
            given = self.stream.skip_if("assign")
            absent = nodes.Const(None, lineno=token.lineno)
            defaults.append(self.parse_expression() if given else absent)
        next(self.stream)
        body = self.parse_statements(("name:endmacro",), drop_needle=True)
        self.stream.skip_if("name")
        return nodes.Macro(name, args, defaults, body, lineno=offset)

    def _filter_tag(self) -> nodes.FilterBlock:
        offset = self.stream.current.lineno
        chain: nodes.Expr | None = None
        while chain is None or self.stream.current.type == "pipe":
            next(self.stream)
            name = self.stream.expect("name")
            args, kwargs = (
                self.call_arguments() if self.stream.current.type == "lparen" else ([], [])
            )
            chain = nodes.Filter(chain, name.value, args, kwargs, None, None, lineno=name.lineno)
        body = self.parse_statements(("name:endfilter",), drop_needle=True)
        return nodes.FilterBlock(body, chain, lineno=offset)

    def fail_eof(
        self, end_tokens: tuple[str, ...] | None = None, lineno: int | None = None
    ) -> NoReturn:
        """A tag that is open at the end of the source."""
        wanted = " or ".join(f"{{% {token.partition(':')[2]} %}}" for token in end_tokens or ())
        self.fail(f"Unexpected end of template, expected {wanted}", lineno)
