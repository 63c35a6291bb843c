"""All filters by name: the allow-list."""

from __future__ import annotations

from functools import cache

from penstock_runner.expressions.callee import Table


@cache
def filters() -> Table:
    """Every filter that a template may use."""
    from penstock_runner.expressions.filters.collections import COLLECTIONS
    from penstock_runner.expressions.filters.dates import DATES
    from penstock_runner.expressions.filters.encodings import ENCODINGS
    from penstock_runner.expressions.filters.numbers import NUMBERS
    from penstock_runner.expressions.filters.structured import STRUCTURED
    from penstock_runner.expressions.filters.texts import TEXTS

    return {**TEXTS, **COLLECTIONS, **NUMBERS, **ENCODINGS, **STRUCTURED, **DATES}
