"""What the bench makes of its measurements, without measuring anything."""

from __future__ import annotations

import pytest
from bench.client import Wrong, check_runs
from bench.load import spread
from bench.records import Raw, percentile, record
from bench.registry import FIGURES, chosen
from bench.table import number, render


def test_a_rate_reaches_its_aim_from_above_and_a_time_from_below() -> None:
    assert record("rate", "runs/s", [400, 500], aim=400).reached is True
    assert record("rate", "runs/s", [300, 350], aim=400).reached is False
    assert record("time", "ms", [9, 10, 30], aim=10).reached is True
    assert record("time", "ms", [11], aim=10).reached is False
    assert record("size", "MB", [11]).reached is None


def test_a_record_keeps_the_spread_of_its_values() -> None:
    one = record("rate", "runs/s", [3, 1, 2])
    assert (one.repetitions, one.median, one.minimum, one.maximum) == (3, 2, 1, 3)


def test_nothing_measured_is_no_figure() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        record("rate", "runs/s", [])


@pytest.mark.parametrize(("share", "expected"), [(0.5, 51), (0.99, 100), (1.0, 100), (0.0, 1)])
def test_a_percentile_is_one_of_the_values(share: float, expected: float) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_the_table_shows_aim_and_verdict_and_raw_limit_beside_a_figure() -> None:
    raw = Raw(name="echo", value=12_345.6, unit="requests/s")
    shown = render([record("starts", "runs/s", [399.4], aim=400, raw=raw, notes="alone")])
    assert "399 runs/s" in shown
    assert "> 400" in shown
    assert "MISSED" in shown
    assert "12,346 requests/s (echo)" in shown
    assert "starts: alone" in shown


@pytest.mark.parametrize(("value", "text"), [(1234.5, "1,234"), (12.345, "12.3"), (0.5, "0.5")])
def test_numbers_have_three_meaningful_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_figures_come_in_our_order_whatever_was_asked_first() -> None:
    names = list(FIGURES)
    assert list(chosen([names[3], names[1]])) == [names[1], names[3]]
    assert list(chosen([])) == names


def test_an_unknown_figure_is_told_with_those_that_exist() -> None:
    with pytest.raises(KeyError, match="no figure is called speed; there are commits"):
        chosen(["speed"])


def test_a_load_is_shared_out_whole_and_with_numbers_that_never_meet() -> None:
    orders = spread(1, "/", count=101, connections=7, processes=3)
    assert sum(order.count for order in orders) == 101
    assert len({order.first for order in orders}) == 3
    assert all(order.connections for order in orders)


def execution(state: str, *runs: tuple[str, str, str | None]) -> dict[str, object]:
    return {
        "id": "x1",
        "state": {"current": state},
        "taskRunList": [
            {"taskId": task, "state": {"current": run_state}, "outputs": {"value": value}}
            for task, run_state, value in runs
        ],
    }


def test_an_execution_counts_only_with_every_task_and_every_value() -> None:
    good = execution("SUCCESS", ("a", "SUCCESS", "1"), ("b", "SUCCESS", None))
    check_runs(good, [("b", None), ("a", "1")])
    for wrong in (
        execution("FAILED", ("a", "SUCCESS", "1"), ("b", "SUCCESS", None)),
        execution("SUCCESS", ("a", "SUCCESS", "2"), ("b", "SUCCESS", None)),
        execution("SUCCESS", ("a", "FAILED", "1"), ("b", "SUCCESS", None)),
        execution("SUCCESS", ("a", "SUCCESS", "1")),
    ):
        with pytest.raises(Wrong, match="execution x1"):
            check_runs(wrong, [("a", "1"), ("b", None)])
