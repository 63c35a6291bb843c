"""Pebble's grammar on Jinja2's parser: a source becomes a tree of Jinja2's nodes.

Operators that Jinja2 has no node for are filters with the operator's text as name
(`??`, `???`, `..`).  `lineno` of every node is its offset in the source.
"""

from __future__ import annotations

from typing import NoReturn

from jinja2 import Environment, nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.lexer import Token
from jinja2.parser import Parser

from penstock_runner.expressions import limits
from penstock_runner.expressions.errors import ExpressionSyntax, position
from penstock_runner.expressions.lexer import PebbleLexer, unexpected

_BINARY = {
    "or": 10,
    "and": 15,
    "is": 20,
    "contains": 20,
    "in": 20,
    "eq": 30,
    "equals": 30,
    "ne": 30,
    "gt": 30,
    "lt": 30,
    "gteq": 30,
    "lteq": 30,
    "add": 40,
    "sub": 40,
    "mul": 60,
    "div": 60,
    "mod": 60,
    "pipe": 100,
    "tilde": 110,
    "range": 120,
    "coalesce": 120,
    "undefcoalesce": 120,
}
_WORDS = frozenset({"or", "and", "is", "contains", "in", "equals", "not"})
_CONSTANTS = {
    "true": True,
    "TRUE": True,
    "false": False,
    "FALSE": False,
    "null": None,
    "NULL": None,
    "none": None,
    "NONE": None,
}
_ARITHMETIC: dict[str, type[nodes.BinExpr]] = {
    "add": nodes.Add,
    "sub": nodes.Sub,
    "mul": nodes.Mul,
    "div": nodes.Div,
    "mod": nodes.Mod,
    "and": nodes.And,
    "or": nodes.Or,
}
_BY_NAME = {"range": "..", "coalesce": "??", "undefcoalesce": "???"}
_TAGS = frozenset({"if", "for", "set", "block", "macro", "filter"})
_CLOSING = frozenset({"elseif", "else", "endif", "endfor", "endblock", "endmacro", "endfilter"})
_LONG_MAX = 2**63 - 1


class Dialect(Environment):
    """The settings of Jinja2 that the parser reads."""

    def __init__(self) -> None:
        super().__init__(keep_trailing_newline=True)
        self._pebble = PebbleLexer(self)

    @property
    def lexer(self) -> PebbleLexer:
        """The lexer of this dialect."""
        return self._pebble


def parse(source: str, dialect: Dialect) -> nodes.Template:
    """The tree of a source, or `ExpressionSyntax` with the place of the fault."""
    try:
        return PebbleParser(dialect, source).parse()
    except TemplateSyntaxError as error:
        offset = max(error.lineno, 0)
        raise ExpressionSyntax(str(error.message), *position(source, offset), source) from None
    except RecursionError:
        raise ExpressionSyntax("The expression is nested too deeply", 1, 1, source) from None


class PebbleParser(Parser):
    """Precedence climbing over Pebble's operators, and the tags that flows may use."""

    def __init__(self, environment: Environment, source: str) -> None:
        super().__init__(environment, source)
        self._source = source
        self._depth = 0

    # expressions

    def parse_tuple(self, *_: object, **__: object) -> nodes.Expr:
        """A print holds one expression."""
        return self.parse_expression()

    def parse_expression(self, with_condexpr: bool = True) -> nodes.Expr:  # noqa: ARG002, FBT001, FBT002
        """A whole expression, ternary included."""
        self._depth += 1
        if self._depth > limits.DEPTH:
            self.fail("The expression is nested too deeply")
        left = self._climb(0)
        if self.stream.current.type == "question":
            offset = next(self.stream).lineno
            yes = self.parse_expression()
            self.stream.expect("colon")
            left = nodes.CondExpr(left, yes, self.parse_expression(), lineno=offset)
        self._depth -= 1
        return left

    def _climb(self, low: int) -> nodes.Expr:
        left = self._operand()
        while True:
            token = self.stream.current
            kind = token.value if token.type == "name" else token.type
            if kind == "not" and self.stream.look().test("name:in"):
                kind = "in"
            strength = _BINARY.get(kind)
            if strength is None or strength < low:
                return left
            negated = token.test("name:not")
            next(self.stream)
            if negated:
                next(self.stream)
            left = self._combined(kind, left, strength, token.lineno)
            if negated:
                left = nodes.Not(left, lineno=token.lineno)

    def _combined(self, kind: str, left: nodes.Expr, strength: int, offset: int) -> nodes.Expr:
        if kind == "pipe":
            name = self.stream.expect("name")
            args, kwargs = self._arguments() if self.stream.current.type == "lparen" else ([], [])
            return nodes.Filter(left, name.value, args, kwargs, None, None, lineno=name.lineno)
        if kind == "is":
            return self._test(left)
        right = self._climb(strength + 1)
        if kind in _ARITHMETIC:
            return _ARITHMETIC[kind](left, right, lineno=offset)
        if kind == "tilde":
            parts = [*left.nodes, right] if isinstance(left, nodes.Concat) else [left, right]
            return nodes.Concat(parts, lineno=offset)
        if kind in _BY_NAME:
            return nodes.Filter(left, _BY_NAME[kind], [right], [], None, None, lineno=offset)
        operator = "eq" if kind == "equals" else kind
        return nodes.Compare(left, [nodes.Operand(operator, right)], lineno=offset)

    def _test(self, left: nodes.Expr) -> nodes.Expr:
        negated = self.stream.skip_if("name:not")
        name = self.stream.expect("name")
        args, kwargs = self._arguments() if self.stream.current.type == "lparen" else ([], [])
        test = nodes.Test(left, name.value, args, kwargs, None, None, lineno=name.lineno)
        return nodes.Not(test, lineno=name.lineno) if negated else test

    def _operand(self) -> nodes.Expr:
        """Unary operators bind one operand only, and tighter than anything else."""
        pending: list[Token] = []
        while self.stream.current.type in {"add", "sub"} or self.stream.current.test("name:not"):
            pending.append(next(self.stream))
            if len(pending) > limits.DEPTH:
                self.fail("The expression is nested too deeply")
        operand = self._postfix(self.parse_primary())
        for token in reversed(pending):
            kinds: dict[str, type[nodes.UnaryExpr]] = {"add": nodes.Pos, "sub": nodes.Neg}
            operand = kinds.get(token.type, nodes.Not)(operand, lineno=token.lineno)
        return operand

    def parse_primary(self, with_namespace: bool = False) -> nodes.Expr:  # noqa: ARG002, FBT001, FBT002
        """A literal, a name, or an expression in brackets."""
        token = self.stream.current
        match token.type:
            case "name" if token.value not in _WORDS:
                next(self.stream)
                if token.value in _CONSTANTS:
                    return nodes.Const(_CONSTANTS[token.value], lineno=token.lineno)
                return nodes.Name(token.value, "load", lineno=token.lineno)
            case "string":
                next(self.stream)
                return nodes.Const(token.value, lineno=token.lineno)
            case "interpolated":
                next(self.stream)
                return self._interpolated(token)
            case "integer" | "float":
                next(self.stream)
                return nodes.Const(self._number(token), lineno=token.lineno)
            case "lparen":
                next(self.stream)
                inner = self.parse_expression()
                self.stream.expect("rparen")
                return inner
            case "lbracket":
                return self.parse_list()
            case "lbrace":
                return self.parse_dict()
            case "eof":
                self.fail("Unexpected end of template, expected an expression")
            case _:
                self.fail(f"{unexpected(token)}, expected an expression", token.lineno)

    def _number(self, token: Token) -> float:
        if token.type == "float":
            return float(token.value)
        digits = token.value.rstrip("lL")
        if len(digits) > 19 or int(digits) > _LONG_MAX:
            self.fail(f"The number {digits[:30]} does not fit 64 bits", token.lineno)
        return int(digits)

    def parse_list(self) -> nodes.List:
        """`[a, b]`."""
        offset = self.stream.expect("lbracket").lineno
        items: list[nodes.Expr] = []
        while self.stream.current.type != "rbracket":
            if items:
                self.stream.expect("comma")
            items.append(self.parse_expression())
        next(self.stream)
        self._no_postfix("list")
        return nodes.List(items, lineno=offset)

    def parse_dict(self) -> nodes.Dict:
        """`{"k": v}`; a bare key is an expression."""
        offset = self.stream.expect("lbrace").lineno
        items: list[nodes.Pair] = []
        while self.stream.current.type != "rbrace":
            if items:
                self.stream.expect("comma")
            key = self._climb(0)
            self.stream.expect("colon")
            items.append(nodes.Pair(key, self.parse_expression(), lineno=key.lineno))
        next(self.stream)
        self._no_postfix("map")
        return nodes.Dict(items, lineno=offset)

    def _no_postfix(self, what: str) -> None:
        if self.stream.current.type in {"dot", "lbracket"}:
            self.fail(
                f"{unexpected(self.stream.current)} after a {what}: put the {what} into brackets ()"
            )

    def _postfix(self, node: nodes.Expr) -> nodes.Expr:
        while True:
            token = self.stream.current
            if token.type == "dot":
                node = self._attribute(node)
            elif token.type == "lbracket":
                next(self.stream)
                key = self.parse_expression()
                self.stream.expect("rbracket")
                node = nodes.Getitem(node, key, "load", lineno=token.lineno)
            elif token.type == "lparen" and isinstance(node, nodes.Name):
                args, kwargs = self._arguments()
                node = nodes.Call(node, args, kwargs, None, None, lineno=node.lineno)
            else:
                return node

    def _attribute(self, node: nodes.Expr) -> nodes.Expr:
        next(self.stream)
        token = self.stream.current
        if token.type in {"lbracket", "string"}:
            self.fail(f"{unexpected(token)} after a dot: write the key without it, as in a['key']")
        if token.type in {"integer", "float"}:
            self.fail(f"{unexpected(token)} after a dot: write the index as in a[0]")
        name = self.stream.expect("name")
        node = nodes.Getattr(node, name.value, "load", lineno=name.lineno)
        if self.stream.current.type == "lparen":
            args, kwargs = self._arguments()
            return nodes.Call(node, args, kwargs, None, None, lineno=name.lineno)
        return node

    def _arguments(self) -> tuple[list[nodes.Expr], list[nodes.Keyword]]:
        """Positional arguments, then named ones."""
        self.stream.expect("lparen")
        args: list[nodes.Expr] = []
        named: list[nodes.Keyword] = []
        while self.stream.current.type != "rparen":
            if args or named:
                self.stream.expect("comma")
            token = self.stream.current
            if token.type == "name" and self.stream.look().type == "assign":
                self.stream.skip(2)
                named.append(nodes.Keyword(token.value, self.parse_expression()))
            elif named:
                self.fail("Positional arguments must come before named ones", token.lineno)
            else:
                args.append(self.parse_expression())
        next(self.stream)
        return args, named

    def _interpolated(self, token: Token) -> nodes.Expr:
        """`"a #{b} c"` joins its parts as `~` does."""
        parts: list[nodes.Expr] = []
        rest = str(token.value)
        while "#{" in rest:
            before, _, rest = rest.partition("#{")
            parts.append(nodes.Const(before, lineno=token.lineno))
            inner, closed, rest = rest.partition("}")
            if not closed:
                self.fail("Unexpected end of a text: `#{` is not closed", token.lineno)
            parts.append(self._inner(inner, token))
        parts.append(nodes.Const(rest, lineno=token.lineno))
        return nodes.Concat(parts, lineno=token.lineno)

    def _inner(self, source: str, token: Token) -> nodes.Expr:
        parser = PebbleParser(self.environment, "{{" + source + "}}")
        parser._depth = self._depth + 1
        next(parser.stream)
        try:
            node = parser.parse_expression()
            parser.stream.expect("variable_end")
        except TemplateSyntaxError as error:
            self.fail(str(error.message), token.lineno)
        for child in [node, *node.find_all(nodes.Node)]:
            child.lineno = token.lineno
        return node

    # tags

    def parse_statement(self) -> nodes.Node | list[nodes.Node]:
        """One of the tags that flows may use."""
        token = self.stream.current
        if token.type != "name":
            self.fail(f"{unexpected(token)}, expected a tag", token.lineno)
        if token.value not in _TAGS:
            if token.value in _CLOSING:
                self.fail(f'Unexpected tag "{token.value}": no tag is open that it belongs to')
            self.fail(f'Unexpected tag name "{token.value}"')
        self._depth += 1
        if self._depth > limits.DEPTH:
            self.fail("The tags are nested too deeply")
        parsed: nodes.Node = getattr(self, f"_{token.value}_tag")()
        self._depth -= 1
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
            args, kwargs = self._arguments() if self.stream.current.type == "lparen" else ([], [])
            chain = nodes.Filter(chain, name.value, args, kwargs, None, None, lineno=name.lineno)
        body = self.parse_statements(("name:endfilter",), drop_needle=True)
        return nodes.FilterBlock(body, chain, lineno=offset)

    def fail_eof(
        self, end_tokens: tuple[str, ...] | None = None, lineno: int | None = None
    ) -> NoReturn:
        """A tag that is open at the end of the source."""
        wanted = " or ".join(f"{{% {token.partition(':')[2]} %}}" for token in end_tokens or ())
        self.fail(f"Unexpected end of template, expected {wanted}", lineno)
