"""Flows of a public course, read where they lie: tests never change them and keep no copy."""

from __future__ import annotations

import pytest
from tests.conformance.cases import default_cases


def course_flow(name: str) -> str:
    """The text of a course flow; skips where the folder of conformance cases is absent."""
    path = default_cases() / "flows" / "zoomcamp" / "2026" / name
    if not path.is_file():
        pytest.skip(f"there is no {path}: name the folder with PENSTOCK_CONFORMANCE")
    return path.read_text()
