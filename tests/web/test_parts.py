from __future__ import annotations

from datetime import timedelta

import pytest
from markupsafe import Markup
from tests.api.building import NOON
from tests.web.building import GREET, HOSTILE, execution, run, steps
from werkzeug.datastructures import MultiDict

from penstock_runner.engine.state import State
from penstock_runner.flow.parse import parse_flow
from penstock_server.store.queries.briefs import Recent
from penstock_server.store.queries.home import Bucket, ErrorLine
from penstock_server.web import (
    ansi,
    filters,
    flows,
    formats,
    forms,
    home,
    loglines,
    outputs,
    sources,
    spans,
    strips,
    topology,
)
from penstock_server.web import (
    execution as heads,
)


def recent(state: str, n: int = 0, seconds: float | None = 10) -> Recent:
    return Recent(
        id=f"x{n}",
        namespace="team",
        flow_id="greet",
        state=state,
        created_at=NOON,
        ended_at=None if seconds is None else NOON + timedelta(seconds=seconds),
        revision=1,
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.01, "<0.1 s"),
        (0.2, "0.2 s"),
        (9, "9 s"),
        (48.4, "48 s"),
        (59.7, "1 min"),
        (206, "3 min 26 s"),
        (3720, "1 h 2 min"),
        (183_600, "2 d 3 h"),
        (-1, "0 s"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    assert formats.duration(seconds) == text


def test_moments_are_distances_up_to_a_day_then_dates() -> None:
    assert formats.moment(NOON, NOON) == "just now"
    assert formats.moment(NOON - timedelta(minutes=3), NOON) == "3 min ago"
    assert formats.moment(NOON + timedelta(minutes=166), NOON) == "in 2 h 46 min"
    assert formats.moment(NOON - timedelta(days=2), NOON) == "29 Jan 12:00"
    assert formats.moment(NOON - timedelta(days=60), NOON) == "2 Dec 2025 12:00"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"failing": 2, "late": 1}, "Two flows are failing, one is late."),
        ({"failing": 0, "late": 2}, "Two flows are late."),
        ({"failing": 1}, "One flow is failing."),
        ({"late": 1, "degraded": 2}, "One flow is late, two Git sources are degraded."),
        ({"alive": False, "failing": 1}, "Nothing runs: no runner is alive."),
        ({"total": 412}, "All well. 412 executions in 24 h, none failed."),
        (
            {"total": 5, "failed": 2},
            "All well. 5 executions in 24 h, 2 failed, all flows have recovered.",
        ),
        ({}, "Nothing has run in the last 24 h."),
        (
            {"next_at": NOON},
            "Nothing has run in the last 24 h. The first schedule is due at 12:00.",
        ),
    ],
)
def test_the_first_sentence_answers_whether_anything_is_wrong(
    values: dict[str, int], said: str
) -> None:
    given = {"failing": 0, "late": 0, "total": 0, "failed": 0, "next_at": None, **values}
    assert home.sentence(range_name="24 h", **given) == said


def test_a_flow_fails_until_an_execution_of_it_goes_well() -> None:
    ones = [
        recent(s, n) for n, s in enumerate(["RUNNING", "FAILED", "KILLED", "FAILED", "SUCCESS"])
    ]
    assert [one.id for one in home.failing(ones)] == ["x1", "x3"]
    assert home.failing([recent("SUCCESS"), recent("FAILED")]) == ()


def test_a_rate_that_is_not_whole_is_not_rounded_to_it() -> None:
    since = NOON - timedelta(days=13)
    counted = [
        Bucket(place=13, state="SUCCESS", count=9999),
        Bucket(place=13, state="FAILED", count=1),
    ]
    rates = home.rates(counted, since)
    assert rates is not None
    assert (rates.whole, rates.failed_today) == ("99.9 %", True)
    assert home.rates([Bucket(place=13, state="RUNNING", count=1)], since) is None


def test_the_chart_puts_failures_below_the_line() -> None:
    counted = [
        Bucket(place=0, state="SUCCESS", count=4),
        Bucket(place=0, state="FAILED", count=2),
    ]
    chart = home.chart(counted, 24, NOON, timedelta(hours=1))
    assert chart is not None
    assert [(bar.state, bar.y < home.BASE) for bar in chart.bars] == [
        ("SUCCESS", True),
        ("FAILED", False),
    ]
    assert chart.told == "6 executions, 2 failed"
    assert home.chart([], 24, NOON, timedelta(hours=1)) is None


def test_what_is_usual_is_the_median_of_good_ends() -> None:
    ones = [recent("SUCCESS", seconds=s) for s in (1, 2, 9)] + [recent("FAILED", seconds=99)]
    assert spans.usual(ones) == 2
    assert spans.usual(ones[:2]) is None


def test_a_strip_is_scaled_so_that_the_tick_is_usual() -> None:
    history = steps(State.CREATED, State.RUNNING, State.FAILED, each=10)
    strip = strips.strip(history, NOON + timedelta(hours=1), usual=20)
    assert strip.tick == 60
    last = strip.pieces[-1]
    assert (last.state, last.x, last.width) == ("FAILED", pytest.approx(30), pytest.approx(30))
    assert strip.now is None
    assert strips.strip(history, NOON, usual=5).cut


def test_what_was_killed_has_the_colour_of_its_end() -> None:
    history = steps(State.CREATED, State.RUNNING, State.KILLING, State.KILLED)
    assert [part.state for part in spans.phases(history, NOON)] == ["CREATED", "KILLED", "KILLED"]


def test_sparks_end_at_the_right_with_the_newest() -> None:
    ones = [recent("FAILED", 2), recent("SUCCESS", 1, seconds=5)]
    found = strips.sparks(ones, NOON)
    assert [one.id for one in found] == ["x1", "x2"]
    assert (found[-1].height, found[0].height) == (16, 8)
    assert found[-1].x + found[-1].width <= 100


def test_colours_of_terminals_become_classes_and_nothing_else() -> None:
    text = f"\x1b[1;32mdone\x1b[0m {HOSTILE}\x1b[2K\x1b]0;title\x07\x07\x1b[38;5;31mpalette"
    assert ansi.html(text) == Markup(
        '<span class="a32 a1">done</span> &lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;palette'
    )
    assert ansi.plain(text) == f"done {HOSTILE}palette"


def test_what_is_searched_for_is_marked_also_inside_colours() -> None:
    assert ansi.html("a \x1b[31m<B>\x1b[0m", "<b") == Markup(
        'a <span class="a31"><mark>&lt;B</mark>&gt;</span>'
    )


def test_filters_are_read_checked_and_shown_as_chips() -> None:
    args = MultiDict([("state", "failed,nonsense"), ("label", "team:data"), ("label", "x")])
    found = filters.read(args)
    assert (found.state, found.label, found.range) == (("FAILED",), ("team:data",), "")
    chips = filters.chips(found)
    assert [(chip.field, chip.value, chip.without) for chip in chips] == [
        ("state", "failed", "/executions?label=team%3Adata"),
        ("label", "team:data", "/executions?state=FAILED"),
    ]
    assert filters.wanted(found, NOON).labels == [("team", "data")]
    day = filters.read(MultiDict({"range": "24h", "state": "FAILED"}))
    assert filters.nothing_found(day) == "No execution is Failed in the last 24 h."


def test_a_form_has_a_field_for_each_input_and_empty_ones_are_not_given() -> None:
    flow = parse_flow(GREET).flow
    assert flow is not None
    fields = {field.id: field for field in forms.fields(flow.inputs)}
    assert {name: field.control for name, field in fields.items()} == {
        "who": "text",
        "number": "number",
        "kind": "radios",
        "loud": "check",
    }
    assert (fields["who"].value, fields["who"].required) == ("world", False)
    sent = MultiDict({"in.who": "", "in.kind": "long", "in.loud": "true", "who": "x"})
    assert forms.filled(flow.inputs, sent, MultiDict()).values == {"kind": "long", "loud": "true"}


def test_labels_are_pairs_parted_by_commas() -> None:
    assert forms.labels("a: b, c:d,") == [("a", "b"), ("c", "d")]
    assert forms.labels("a") is None


def test_times_of_log_lines_count_from_the_start() -> None:
    assert loglines.since_start(NOON + timedelta(seconds=159.84), NOON) == "+2:39.8"
    assert loglines.since_start(NOON + timedelta(seconds=3723), NOON) == "+1:02:03.0"
    assert loglines.since_start(NOON - timedelta(seconds=1), NOON) == "+0:00.0"


def test_a_failure_is_told_by_the_last_attempt_of_its_task() -> None:
    def line(n: int, task: str, attempt: int) -> ErrorLine:
        return ErrorLine(n=n, message=f"m{n}", task_id=task, attempt=attempt)

    lines = [line(1, "copy", 1), line(2, "copy", 2), line(3, "copy", 2), line(4, "notify", 1)]
    why = heads.why(run("copy", State.CREATED, State.FAILED), lines)
    assert why is not None
    assert (why.task, why.said, why.line) == ("copy", "m2\nm3", 2)
    assert heads.why(None, []) is None


@pytest.mark.parametrize("between", ["CANCELLED", "KILLED", "RETRIED", "RUNNING"])
def test_what_neither_failed_nor_succeeded_leaves_a_flow_failing(between: str) -> None:
    latest = [recent(between, 3), recent("FAILED", 2), recent(between, 1), recent("FAILED", 0)]
    assert [one.id for one in home.failing(latest)] == ["x2", "x0"]
    assert home.failing([recent("SUCCESS", 4), *latest]) == ()
    assert home.failing([recent("WARNING", 4), *latest]) == ()


def test_of_a_traceback_its_end_is_told() -> None:
    trace = 'Traceback (most recent call last):\n  File "x.py", line 1\n    import y\n'
    end = "ModuleNotFoundError: No module named 'y'\nCommand failed with exit code 1"
    assert home.telling(trace + end) == end
    assert home.telling("  indented alone") == "  indented alone"
    assert home.telling("one") == "one"


def test_outputs_are_flattened_and_files_are_links() -> None:
    uri = "kestra:///team/greet/executions/x/data.csv"
    done = execution(
        run("hello", State.SUCCESS, outputs={"files": {"data": uri}, "vars": {}, "n": 3}),
        outputs={"all": [1]},
    )
    flow_outputs, task = outputs.groups(done)
    assert flow_outputs.title == "Outputs of the flow"
    assert [(entry.name, entry.kind, entry.file) for entry in task.entries] == [
        ("files.data", "file", uri),
        ("n", "number", None),
    ]


def test_inputs_that_are_secrets_are_not_shown() -> None:
    flow = parse_flow(
        "id: greet\nnamespace: team\ninputs:\n  - {id: token, type: SECRET}\n"
        "  - {id: who, type: STRING}\ntasks:\n"
        "  - {id: a, type: io.kestra.plugin.core.log.Log, message: x}\n"
    ).flow
    done = execution(inputs={"token": "hush", "who": "Ada"})
    [group] = outputs.groups(done, flow)
    assert [entry.name for entry in group.entries] == ["who"]


def test_sources_are_coloured_and_safe() -> None:
    [line] = sources.lines(f'  key: "{HOSTILE}" # why')
    assert line.startswith('  <span class="k">key:</span>')
    assert "<script" not in line
    assert '<span class="c"># why</span>' in line


def test_words_of_a_script_are_no_keys_and_an_apostrophe_begins_no_text() -> None:
    [line] = sources.lines("      for row in rows:  # the day's orders and Python's own")
    assert 'class="k"' not in line
    [line] = sources.lines("  the day's orders and Python's own")
    assert 'class="s"' not in line
    [item] = sources.lines("  - {id: x, type: y}")
    assert item.count('class="k"') == 2


def test_a_description_is_cut_between_words_and_not_at_a_line() -> None:
    told = flows.beginning("Takes the orders,\nand more.\n\nSecond.")
    assert told == "Takes the orders, and more."
    assert flows.beginning("word " * 100).endswith("word …")
    assert flows.beginning(None) == ""


def test_a_day_to_come_is_near_or_named() -> None:
    assert formats.day(NOON + timedelta(hours=3), NOON) == "in 3 h"
    later = NOON + timedelta(days=2)
    assert formats.day(later, NOON) == f"{later.day} {later:%b}"


def test_a_difference_has_numbers_of_both_sides() -> None:
    shown, added, removed = sources.difference("a\nb\nc\n", "a\nB\nc\nd\n")
    assert (added, removed) == (2, 1)
    assert [(line.old, line.new, line.kind) for line in shown[1:]] == [
        (1, 1, ""),
        (2, None, "del"),
        (None, 2, "add"),
        (3, 3, ""),
        (None, 4, "add"),
    ]
    assert sources.difference("a", "a") == ([], 0, 0)


def test_a_drawing_goes_from_left_to_right() -> None:
    flow = parse_flow(GREET).flow
    assert flow is not None
    drawn = topology.drawn(flow, execution(run("bye", State.RUNNING)))
    hello, bye = drawn.nodes
    assert hello.x < bye.x
    assert hello.y == bye.y
    assert (hello.state, bye.state) == (None, "RUNNING")
    assert [wire.live for wire in drawn.wires] == [True]
