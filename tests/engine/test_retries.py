"""When a failed attempt is tried again, for each kind of retry."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.engine.story import NOON

from penstock_runner.engine.retries import next_try
from penstock_runner.flow.durations import LONGEST
from penstock_runner.flow.model import Retry

SECOND = timedelta(seconds=1)


def waits(policy: Retry, tries: int, seed: str = "x", lasted: timedelta = SECOND) -> float | None:
    """The seconds between the end of a try and the next one."""
    ended = NOON + lasted
    at = next_try(policy, tries=tries, ended=ended, first=NOON, seed=seed)
    return None if at is None else (at - ended).total_seconds()


def test_a_constant_retry_waits_the_same_until_its_attempts_are_spent() -> None:
    policy = Retry(type="constant", interval=SECOND, max_attempts=3)
    assert [waits(policy, n) for n in (1, 2, 3)] == [1, 1, None]


def test_an_exponential_retry_grows_from_nothing_to_its_longest() -> None:
    policy = Retry(type="exponential", interval=SECOND, max_interval=5 * SECOND)
    assert [waits(policy, n) for n in (1, 2, 3, 4)] == [0, 2, 4, 5]
    by_three = Retry(type="exponential", interval=SECOND, max_interval=99 * SECOND, delay_factor=3)
    assert waits(by_three, 3) == 6


@pytest.mark.parametrize("factor", [1e6, 1e30, 1e308, float("inf")])
def test_a_factor_without_measure_waits_as_long_as_a_date_can_bear(factor: float) -> None:
    policy = Retry(type="exponential", interval=300 * 365 * 86400 * SECOND, delay_factor=factor)
    assert waits(policy, 3) == LONGEST.total_seconds()
    assert waits(policy.model_copy(update={"max_interval": 9 * SECOND}), 3) == 9
    assert waits(policy.model_copy(update={"max_duration": LONGEST}), 3) is None


@pytest.mark.parametrize("factor", [-2, -1e308, float("-inf"), float("nan")])
def test_a_factor_that_makes_no_sense_waits_for_nothing(factor: float) -> None:
    assert waits(Retry(type="exponential", interval=SECOND, delay_factor=factor), 3) == 0


def test_a_random_retry_is_spread_by_its_seed_within_its_bounds() -> None:
    policy = Retry(type="random", min_interval=SECOND, max_interval=3 * SECOND)
    found = [waits(policy, 1, seed) for seed in "abcdefgh"]
    assert len(set(found)) == len(found)
    assert all(one is not None and 1 <= one < 3 for one in found)
    assert found == [waits(policy, 1, seed) for seed in "abcdefgh"]


@pytest.mark.parametrize(("lasted", "wait"), [(50, 10), (51, None)])
def test_a_retry_ends_when_its_next_attempt_would_be_too_late(
    lasted: int, wait: float | None
) -> None:
    policy = Retry(type="constant", interval=10 * SECOND, max_duration=60 * SECOND)
    assert waits(policy, 9, lasted=lasted * SECOND) == wait
