"""Filters that write JSON, YAML and Ion, and `jq`."""

from __future__ import annotations

from penstock_runner.expressions import jq
from penstock_runner.expressions.callee import Table, offer
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.json_text import write

STRUCTURED: Table = {}


@offer(STRUCTURED, "toJson", aliases=("json",), takes_null=True)
def to_json(value: object) -> str:
    """The value as JSON."""
    return write(value)


@offer(STRUCTURED, "toIon", takes_null=True)
def to_ion(value: object) -> str:
    """The value as Ion text."""
    from penstock_runner.expressions import ion

    return ion.write(value)


@offer(STRUCTURED, "yaml", takes_null=True)
def to_yaml(value: object) -> str:
    """The value as YAML."""
    from penstock_runner.expressions import yaml_text

    return yaml_text.write(value)


@offer(STRUCTURED, "jq", "expression", required=1, pure=False)
def run_jq(value: object, expression: object) -> list[object]:
    """All results of a jq program."""
    if not isinstance(expression, str):
        raise ExpressionFailed("The 'jq' filter takes a text: jq('.a.b')")
    return jq.run(expression, value)


@offer(STRUCTURED, "jqFirst", "expression", required=1, pure=False)
def run_jq_first(value: object, expression: object) -> object:
    """The first result of a jq program, null when there is none."""
    results = run_jq(value, expression)
    return results[0] if results else None
