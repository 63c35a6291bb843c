"""All that is wrong with a flow: what reading, the types and the expressions tell, in one list.

This is the one place where the rules of `flow` and of `expressions` come together; whoever judges
flows asks here.
"""

from __future__ import annotations

from penstock_runner.expressions.check import check_expressions
from penstock_runner.flow.catalogue import Catalogue
from penstock_runner.flow.check import check
from penstock_runner.flow.faults import Fault
from penstock_runner.flow.parse import Parsed


def all_faults(parsed: Parsed, catalogue: Catalogue) -> tuple[Fault, ...]:
    """Every error, warning and note about one document."""
    return (*parsed.faults, *check(parsed, catalogue), *check_expressions(parsed))
