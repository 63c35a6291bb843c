"""One service for all scenarios."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.live import AS_OURSELVES, Service, live_service


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service; nothing may have gone wrong in it at the end."""
    with live_service(tmp_path_factory.mktemp("scenarios"), environment=AS_OURSELVES) as running:
        yield running
        assert "Traceback" not in running.said()
