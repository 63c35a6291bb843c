"""Whether one use of a filter is quick and pure, seen from its arguments."""

from __future__ import annotations

from jinja2 import nodes

from penstock_runner.expressions import java_regex, jq
from penstock_runner.expressions.callee import Callee


def pure_use(node: nodes.Filter, callee: Callee) -> bool:
    """A pure filter; or `jq` with a path, `split` with a plain text, `replace` without regexp."""
    if callee.pure:
        return True
    first = node.args[0] if node.args else None
    written = first.value if isinstance(first, nodes.Const) else None
    named = {keyword.key for keyword in node.kwargs}
    match callee.name:
        case "jq" | "jqFirst":
            return jq.is_simple(written)
        case "split":
            return isinstance(written, str) and java_regex.literal(written) is not None
        case "replace":
            return len(node.args) < 2 and "regexp" not in named
        case _:
            return False
