"""Every test that `docs/git.md` names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMED = re.compile(r"`(\w+/test_\w+\.py)(?:::(test_\w+))?`")


def test_the_document_names_tests_that_exist() -> None:
    named = NAMED.findall((ROOT / "docs" / "git.md").read_text())
    missing = []
    for path, name in named:
        file = ROOT / "tests" / path
        if not file.is_file() or (name and f"def {name}(" not in file.read_text()):
            missing.append(f"{path}::{name}")
    assert missing == []
    assert len(named) > 80
