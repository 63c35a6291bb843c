"""Lines that begin and end folds, in the spellings of two CI servers."""

from __future__ import annotations

import pytest

from penstock_runner.jobs.lines import tidy
from penstock_runner.jobs.utterances import Fold, read_fold


@pytest.mark.parametrize(
    ("line", "fold"),
    [
        ("::group::Build 50%25", Fold(title="Build 50%")),
        ("::endgroup::", Fold()),
        ("section_start:1560896352:build\r\x1b[0KBuild it", Fold(title="Build it")),
        ("section_start:15:b[collapsed=true]\r\x1b[0KBuild", Fold(title="Build", shut=True)),
        ("section_start:15:build\r\x1b[0K", Fold(title="build")),
        ("section_end:1560896353:build\r\x1b[0K", Fold()),
        ("section_end:1560896353:build", Fold()),
        ("a ::group::", None),
        ("section_of:1:b", None),
        ("::error::x", None),
    ],
)
def test_a_fold_has_a_title_where_it_begins(line: str, fold: Fold | None) -> None:
    assert read_fold(tidy(line)) == fold
