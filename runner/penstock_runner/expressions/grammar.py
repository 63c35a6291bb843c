"""Pebble's expressions on Jinja2's parser: tokens become Jinja2's nodes.

Operators that Jinja2 has no node for are filters with the operator's text as name
(`??`, `???`, `..`).  `lineno` of every node is its offset in the source.
"""

from __future__ import annotations

from jinja2 import Environment, nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.lexer import Token
from jinja2.parser import Parser

from penstock_runner.expressions import limits
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


class ExpressionParser(Parser):
    """Precedence climbing over Pebble's operators."""

    def __init__(self, environment: Environment, source: str) -> None:
        super().__init__(environment, source)
        self._source = source
        self.depth = 0

    def parse_tuple(self, *_: object, **__: object) -> nodes.Expr:
        """A print holds one expression."""
        return self.parse_expression()

    def parse_expression(self, with_condexpr: bool = True) -> nodes.Expr:  # noqa: ARG002, FBT001, FBT002
        """A whole expression, ternary included."""
        self.depth += 1
        if self.depth > limits.DEPTH:
            self.fail("The expression is nested too deeply")
        left = self._climb(0)
        if self.stream.current.type == "question":
            offset = next(self.stream).lineno
            yes = self.parse_expression()
            self.stream.expect("colon")
            left = nodes.CondExpr(left, yes, self.parse_expression(), lineno=offset)
        self.depth -= 1
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
            args, kwargs = (
                self.call_arguments() if self.stream.current.type == "lparen" else ([], [])
            )
            return nodes.Filter(left, name.value, args, kwargs, None, None, lineno=name.lineno)
        if kind == "is":
            return self._test(left)
        right = self._climb(strength + 1)
        if kind in _ARITHMETIC:
            return _ARITHMETIC[kind](left, right, lineno=offset)
        if kind == "tilde":
            if isinstance(left, nodes.Concat):
                left.nodes.append(right)
                return left
            return nodes.Concat([left, right], lineno=offset)
        if kind in _BY_NAME:
            return nodes.Filter(left, _BY_NAME[kind], [right], [], None, None, lineno=offset)
        operator = "eq" if kind == "equals" else kind
        return nodes.Compare(left, [nodes.Operand(operator, right)], lineno=offset)

    def _test(self, left: nodes.Expr) -> nodes.Expr:
        negated = self.stream.skip_if("name:not")
        name = self.stream.expect("name")
        args, kwargs = self.call_arguments() if self.stream.current.type == "lparen" else ([], [])
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
                return self.fail("Unexpected end of template, expected an expression")
            case _:
                return self.fail(f"{unexpected(token)}, expected an expression", token.lineno)

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
                args, kwargs = self.call_arguments()
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
            args, kwargs = self.call_arguments()
            return nodes.Call(node, args, kwargs, None, None, lineno=name.lineno)
        return node

    def call_arguments(self) -> tuple[list[nodes.Expr], list[nodes.Keyword]]:
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
            if len(parts) > limits.INTERPOLATIONS:
                self.fail("The text has too many `#{`: write a loop", token.lineno)
            before, _, rest = rest.partition("#{")
            parts.append(nodes.Const(before, lineno=token.lineno))
            inner, closed, rest = rest.partition("}")
            if not closed:
                self.fail("Unexpected end of a text: `#{` is not closed", token.lineno)
            parts.append(self._inner(inner, token))
        parts.append(nodes.Const(rest, lineno=token.lineno))
        return nodes.Concat(parts, lineno=token.lineno)

    def _inner(self, source: str, token: Token) -> nodes.Expr:
        parser = type(self)(self.environment, "{{" + source + "}}")
        parser.depth = self.depth + 1
        next(parser.stream)
        try:
            node = parser.parse_expression()
            parser.stream.expect("variable_end")
        except TemplateSyntaxError as error:
            self.fail(str(error.message), token.lineno)
        for child in [node, *node.find_all(nodes.Node)]:
            child.lineno = token.lineno
        return node
