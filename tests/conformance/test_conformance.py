"""The same cases under pytest, one test each."""

from __future__ import annotations

import pytest
from tests.conformance.cases import Case, family_names, new_context, read_cases, run_case

CONTEXT = new_context()
CASES = [
    pytest.param(name, case, id=case["id"])
    for name in family_names()
    for case in read_cases(name, CONTEXT)
]


@pytest.mark.skipif(not CASES, reason=f"no conformance cases in {CONTEXT.cases}")
@pytest.mark.parametrize(("name", "case"), CASES)
def test_the_case_holds(name: str, case: Case) -> None:
    outcome = run_case(name, case, CONTEXT)
    if outcome.status == "not_applicable":
        pytest.skip(outcome.reason)
    assert outcome.status == "passed", outcome.reason
