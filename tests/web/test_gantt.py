from __future__ import annotations

from datetime import timedelta

import pytest
from tests.api.building import NOON
from tests.web.building import GREET, attempt, execution, run

from penstock_runner.engine.state import State
from penstock_runner.flow.parse import parse_flow
from penstock_server.web.gantt import Gantt, Row, gantt, scale_of

LOOP = """
id: greet
namespace: team
tasks:
  - id: load
    type: io.kestra.plugin.core.flow.ForEach
    values: [a, b]
    tasks:
      - {id: copy, type: io.kestra.plugin.core.log.Log, message: x}
      - {id: merge, type: io.kestra.plugin.core.log.Log, message: x}
"""


def row(chart: Gantt, name: str) -> Row:
    return next(one for one in chart.rows if one.name == name)


@pytest.mark.parametrize(
    ("seconds", "width", "last"),
    [(0, 0.6, "0.6 s"), (4.3, 5, "5 s"), (70, 90, "1 min 30 s"), (900, 1200, "20 min")],
)
def test_the_scale_is_whole_steps_with_room_for_a_label(
    seconds: float, width: float, last: str
) -> None:
    scale = scale_of(NOON, seconds)
    assert scale.seconds == pytest.approx(width)
    assert scale.ticks[0] == (0, "0")
    assert scale.ticks[-1] == (100, last)
    assert len(scale.ticks) <= 6


def test_bars_are_placed_in_per_cent_of_the_scale() -> None:
    done = execution(
        run("one", State.CREATED, State.SUCCESS, attempts=(attempt(1, 0, 2),)),
        run("two", State.CREATED, State.SUCCESS, order=1, start=2, attempts=(attempt(1, 2, 4),)),
        states=(State.CREATED, State.RUNNING, State.SUCCESS),
        history=((State.CREATED, NOON), (State.SUCCESS, NOON + timedelta(seconds=4))),
    )
    chart = gantt(done, None, NOON + timedelta(hours=1))
    assert chart.scale.seconds == pytest.approx(5)
    assert chart.now is None
    [bar] = row(chart, "two").bars
    assert (bar.x, bar.width, bar.state) == (pytest.approx(40), pytest.approx(40), "SUCCESS")
    assert row(chart, "one").label == "2 s"


def test_attempts_follow_each_other_with_the_wait_between_them_hatched() -> None:
    tried = execution(
        run(
            "copy",
            State.CREATED,
            State.RUNNING,
            attempts=(attempt(1, 0, 1, State.FAILED), attempt(2, 3, None)),
        )
    )
    chart = gantt(tried, None, NOON + timedelta(seconds=4))
    bars = row(chart, "copy").bars
    assert [(bar.state, bar.kind) for bar in bars] == [
        ("FAILED", "solid"),
        ("RETRYING", "hat"),
        ("RUNNING", "solid"),
    ]
    assert bars[-1].open
    assert row(chart, "copy").label == "attempt 2, 1 s"
    assert chart.now == pytest.approx(80)


def test_values_of_a_loop_are_groups_of_their_tasks() -> None:
    load = run("load", State.RUNNING, State.SUCCESS, values=("a", "b"))
    runs = [
        run(
            f"{task}.{n}",
            State.CREATED,
            State.SUCCESS,
            task_id=task,
            order=1 + n * 2 + m,
            parent=load.key,
            value=value,
            place=(n,),
        )
        for n, value in enumerate("ab")
        for m, task in enumerate(("copy", "merge"))
    ]
    flow = parse_flow(LOOP).flow
    chart = gantt(execution(load, *runs), flow, NOON + timedelta(seconds=2))
    names = [(one.name, one.depth, one.group) for one in chart.rows]
    assert names == [
        ("load", 0, True),
        ("a", 1, True),
        ("copy", 2, False),
        ("merge", 2, False),
        ("b", 1, True),
        ("copy", 2, False),
        ("merge", 2, False),
    ]
    assert chart.rows[2].within == ("task-load", "task-load-v0")
    assert len({one.id for one in chart.rows}) == len(chart.rows)


def test_tasks_to_come_are_dotted_and_take_what_they_took_before() -> None:
    flow = parse_flow(GREET).flow
    running = execution(run("hello", State.RUNNING, attempts=(attempt(1, 0, None),)))
    now = NOON + timedelta(seconds=10)
    chart = gantt(running, flow, now, usual=40.0, durations={"hello": 20.0, "bye": 10.0})
    bye = row(chart, "bye")
    [bar] = bye.bars
    assert (bye.state, bar.kind) == ("CREATED", "void")
    assert bar.x == pytest.approx(20 / chart.scale.seconds * 100)
    assert bar.width == pytest.approx(10 / chart.scale.seconds * 100)
    ended = execution(states=(State.CREATED, State.FAILED))
    assert gantt(ended, flow, now).rows == ()


def test_a_chart_of_thousands_of_rows_is_cut() -> None:
    runs = [run(f"t{n}", State.CREATED, State.SUCCESS, order=n) for n in range(2000)]
    chart = gantt(execution(*runs), None, NOON + timedelta(seconds=1))
    assert (len(chart.rows), chart.hidden) == (500, 1500)
