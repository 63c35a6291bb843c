from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from penstock_server.sync.polling import next_after_failure, next_after_success
from penstock_server.sync.settings import SourceSettings
from penstock_server.sync.state import SourceState, seen, status_of, unreachable

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOURCE = SourceSettings(id="main", url="https://example.org/x.git")


def seconds(moment: datetime) -> float:
    return (moment - NOW).total_seconds()


def test_the_interval_has_some_jitter_and_is_long_where_webhooks_work() -> None:
    waits = [seconds(next_after_success(SOURCE, NOW + timedelta(0), None))]
    waits += [
        (next_after_success(SOURCE, at, None) - at).total_seconds()
        for at in (NOW + timedelta(minutes=n) for n in range(50))
    ]
    assert all(48 <= wait <= 72 for wait in waits)
    assert len(set(waits)) > 40
    assert seconds(next_after_success(SOURCE, NOW, NOW - timedelta(hours=1))) >= 480
    assert seconds(next_after_success(SOURCE, NOW, NOW - timedelta(hours=25))) <= 72


@pytest.mark.parametrize(
    ("failures", "code", "retry_after", "low", "high"),
    [
        (1, "GIT_NETWORK", None, 10, 120),
        (10, "GIT_NETWORK", None, 10, 900),
        (1, "GIT_AUTH", None, 300, 300),
        (2, "GIT_NOT_FOUND", None, 600, 600),
        (9, "GIT_HOST_KEY", None, 3600, 3600),
        (1, "GIT_NETWORK", 120, 120, 120),
        (1, "GIT_NETWORK", 99999, 3600, 3600),
    ],
)
def test_failures_wait_as_long_as_their_kind_asks_for(
    failures: int, code: str, retry_after: int | None, low: int, high: int
) -> None:
    wait = seconds(next_after_failure(SOURCE, failures, code, NOW, retry_after))
    assert low <= wait <= high


def test_a_source_is_degraded_after_three_failures_and_well_after_one_answer() -> None:
    state = SourceState(id="main")
    assert status_of(state, SOURCE, NOW) == "Unknown"
    for _ in range(3):
        state = unreachable(state, SOURCE, NOW, code="GIT_NETWORK", message="no route")
    assert status_of(state, SOURCE, NOW) == "Degraded"
    assert [condition.type for condition in state.conditions] == ["FetchFailed"]
    state = seen(state, SOURCE, "a" * 40, "refs/heads/main", NOW)
    assert state.conditions == ()
    assert status_of(state, SOURCE, NOW) == "OutOfSync"
    off = SOURCE.model_copy(update={"enabled": False})
    assert status_of(state, off, NOW) == "Suspended"
