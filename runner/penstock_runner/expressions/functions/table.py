"""All functions by name: the allow-list."""

from __future__ import annotations

from functools import cache

from penstock_runner.expressions.callee import Table


@cache
def functions() -> Table:
    """Every function that a template may call."""
    from penstock_runner.expressions.functions.calendar import CALENDAR
    from penstock_runner.expressions.functions.files import FILES
    from penstock_runner.expressions.functions.randomness import RANDOMNESS
    from penstock_runner.expressions.functions.rendering import RENDERING
    from penstock_runner.expressions.functions.values import VALUES
    from penstock_runner.expressions.functions.world import WORLD

    return {**VALUES, **RENDERING, **WORLD, **FILES, **RANDOMNESS, **CALENDAR}
