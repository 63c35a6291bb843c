"""The web process that most tests here use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.api.building import Web
from tests.web.building import pages


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    built = pages(tmp_path)
    yield built
    built.database.close()
