"""Every test that the documents on Git and on runners name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NAMED = re.compile(r"`(\w+/test_\w+\.py)(?:::(test_\w+))?`")


@pytest.mark.parametrize(("document", "least"), [("git.md", 80), ("runner.md", 45)])
def test_the_document_names_tests_that_exist(document: str, least: int) -> None:
    named = NAMED.findall((ROOT / "docs" / document).read_text())
    missing = []
    for path, name in named:
        file = ROOT / "tests" / path
        if not file.is_file() or (name and f"def {name}(" not in file.read_text()):
            missing.append(f"{path}::{name}")
    assert missing == []
    assert len(named) > least
