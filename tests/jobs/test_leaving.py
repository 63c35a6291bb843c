"""How a runner ends, moment by moment."""

from __future__ import annotations

from penstock_runner.jobs.leaving import Leaving
from penstock_runner.jobs.settings import Limits

LIMITS = Limits(drain=60, leave=1, leave_grace=2)


def test_a_runner_that_nobody_ends_goes_on() -> None:
    leaving = Leaving(LIMITS)
    assert not leaving.begins(0)
    assert not leaving.stops(1000)


def test_a_drained_runner_waits_then_stops_its_jobs_and_then_goes() -> None:
    leaving = Leaving(LIMITS)
    leaving.drain()
    assert leaving.begins(100)
    assert not leaving.begins(101)
    assert not leaving.stops(159)
    assert leaving.stops(160)
    assert (leaving.stopped, leaving.over) == (True, False)
    assert not leaving.stops(161)
    assert leaving.stops(162)
    assert leaving.over


def test_a_runner_that_is_told_to_hurry_has_a_second_also_while_it_drains() -> None:
    leaving = Leaving(LIMITS)
    leaving.drain()
    assert leaving.begins(100)
    leaving.hurry()
    assert not leaving.begins(110)
    assert leaving.stops(111)


def test_what_is_said_after_the_jobs_were_stopped_changes_nothing() -> None:
    leaving = Leaving(LIMITS)
    leaving.hurry()
    assert leaving.begins(0)
    assert leaving.stops(1)
    leaving.drain()
    assert not leaving.begins(1)
    assert leaving.due == 3
