from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
import yaml
from tests.expressions.world import failure, render, value

PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    ("given", "printed", "as_json"),
    [
        (datetime(2024, 3, 5, 7, 8, tzinfo=UTC), "2024-03-05T07:08:00Z", "2024-03-05T07:08:00Z"),
        (
            datetime(2024, 3, 5, 7, 8, 9, 120000, tzinfo=timezone(timedelta(hours=2))),
            "2024-03-05T07:08:09.120+02:00",
            "2024-03-05T07:08:09.12+02:00",
        ),
        (
            datetime(2024, 3, 5, 7, 0, tzinfo=PARIS),
            "2024-03-05T07:00+01:00[Europe/Paris]",
            "2024-03-05T07:00:00+01:00",
        ),
        (datetime(2024, 3, 5, 7, 0), "2024-03-05T07:00", "2024-03-05T07:00:00"),  # noqa: DTZ001
        (date(2024, 3, 5), "2024-03-05", "2024-03-05"),
        (time(7, 8), "07:08", "07:08:00"),
    ],
)
def test_dates_print_as_iso(given: object, printed: str, as_json: str) -> None:
    assert render("{{ d }} {{ d | toJson }} {{ [d] }}", d=given) == (
        f'{printed} "{as_json}" ["{as_json}"]'
    )


@pytest.mark.parametrize(
    ("given", "printed"),
    [
        (timedelta(hours=1), "PT1H"),
        (timedelta(days=1, seconds=90), "PT24H1M30S"),
        (timedelta(milliseconds=1500), "PT1.5S"),
        (timedelta(0), "PT0S"),
        (timedelta(minutes=-5), "PT-5M"),
    ],
)
def test_durations_print_as_iso(given: timedelta, printed: str) -> None:
    assert render("{{ d }}", d=given) == printed


def test_json_leaves_out_null_map_values_and_keeps_nulls_of_lists() -> None:
    given = {"a": None, "b": [1, None], "c": {"d": None}, "é": True, "d": timedelta(hours=1)}
    expected = '{"b":[1,null],"c":{},"é":true,"d":3600.000000000}'
    assert render("{{ m }}", m=given) == expected
    assert render("{{ m | toJson }}", m=given) == expected


def test_numbers_that_json_lacks_are_texts_in_it() -> None:
    assert render("{{ [1.0 / 0, dec] }}", dec=Decimal("1.50")) == '["Infinity",1.50]'
    assert render("{{ b }}{{ [b] }}", b=b"\xc3\xa9") == 'é["é"]'


def test_json_escapes_what_must_be_escaped() -> None:
    assert render("{{ m }}", m={'a"': "b\\\n"}) == '{"a\\"":"b\\\\\\n"}'


def test_maps_with_other_keys_print_too() -> None:
    assert render("{{ m }}", m={2: "a", True: "b"}) == '{"2":"a","true":"b"}'
    assert render("{{ {1: 'a', null: 'b'} }}") == '{"1":"a","null":"b"}'


def test_yaml_is_plain_and_reads_back() -> None:
    given = {
        "a": "text",
        "o": None,
        "l": [1, "x", {"k": "v", "m": [True]}, []],
        "q": "true",
        "d": "12",
        "s": "a: b",
        "block": "one\ntwo\n",
        "empty": "",
        "dash": "- x",
        "deep": {"x": {"y": [["z"]]}},
    }
    text = render("{{ m | yaml }}", m=given)
    assert text is not None
    assert yaml.safe_load(text) == given
    assert text.startswith("a: text\no: null\nl:\n - 1\n - x\n - k: v\n")


def test_yaml_writes_dates_durations_and_odd_texts() -> None:
    given = {
        "d": date(2024, 1, 1),
        "m": datetime(2024, 1, 1, tzinfo=UTC),
        "p": timedelta(seconds=1),
        "tab": "a\tb\nc",
        "lead": " a\nb",
        "keep": "a\n\n",
        "inf": float("inf"),
        "nan": float("nan"),
        "e": {},
        5: "five",
        None: 1,
    }
    assert render("{{ m | yaml }}", m=given) == (
        'd: 2024-01-01\nm: 2024-01-01T00:00:00Z\np: 1.000000000\ntab: "a\\tb\\nc"\n'
        'lead: " a\\nb"\nkeep: |+\n  a\n\ninf: .inf\nnan: .nan\ne: {}\n5: five\n"null": 1\n'
    )


def test_ion_writes_every_kind_of_value() -> None:
    given = [
        float("inf"),
        float("-inf"),
        float("nan"),
        Decimal(3),
        date(2024, 1, 2),
        1e30,
        datetime(2024, 1, 2, tzinfo=UTC),
        timedelta(seconds=1.5),
        {"null": 1, "it's": 2},
    ]
    assert render("{{ l | toIon }}", l=given) == (
        "[+inf,-inf,nan,3.,2024-01-02,1e30,2024-01-02T00:00:00.000Z,1.500000000,{'null':1,'it\\'s':2}]"
    )


@pytest.mark.parametrize(
    "text", ["", "{a 1}", "{[]: 1}", "[1 2]", "}", "@", "2024-13-01", "{a:1", "1" * 2000]
)
def test_text_that_is_no_ion_is_an_error(text: str) -> None:
    assert "Invalid ion" in failure("{{ fromIon(t) }}", t=text)


def test_yaml_indents_lists_by_one() -> None:
    assert render("{{ ['a', 'b'] | yaml }}") == " - a\n - b\n"


def test_yaml_texts_of_dates_and_words_stay_texts() -> None:
    assert value("yaml('d: 2024-01-01\nb: yes\nt: true\ns: 1:30')") == {
        "d": "2024-01-01",
        "b": "yes",
        "t": True,
        "s": "1:30",
    }


def test_yaml_aliases_are_followed_but_cannot_explode_or_turn_in_circles() -> None:
    shared = "a: &x {k: 1}\nb: *x\nc: {<<: *x, l: 2}\n"
    assert value("yaml(t)", t=shared) == {"a": {"k": 1}, "b": {"k": 1}, "c": {"k": 1, "l": 2}}
    assert value("yaml('')") is None
    laughs = "a0: &a0 [x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
    )
    assert "The list has more than" in failure("{{ yaml(t) }}", t=laughs)
    assert "Invalid yaml" in failure("{{ yaml(t) }}", t="&a [*a]")


def test_ion_is_written_and_read_back() -> None:
    given = {"a": 1, "b c": [1.5, None, True, 'x"y'], "d": {"e": Decimal("1.25")}}
    text = render("{{ m | toIon }}", m=given)
    assert text == '{a:1,\'b c\':[1.5e0,null,true,"x\\"y"],d:{e:1.25}}'
    assert value("fromIon(t)", t=text) == given


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'sym'", "sym"),
        ("sym", "sym"),
        ("annotation::5", 5),
        ("null.string", None),
        ("(a 1)", ["a", 1]),
        ("0x1F", 31),
        ("true", True),
        ("false", False),
        ("+inf", float("inf")),
        ("-inf", float("-inf")),
        ("1.5", Decimal("1.5")),
        ("1_000", 1000),
        ("2024T", date(2024, 1, 1)),
        ("2024-05T", date(2024, 5, 1)),
        ("'it\\'s'", "it's"),
        ("'q'::x", "x"),
        ("2.5e0", 2.5),
        ("2024-04-21", date(2024, 4, 21)),
        ("2024-04-21T23:00:00.000Z", datetime(2024, 4, 21, 23, tzinfo=UTC)),
        ("'''a''' '''b'''", "ab"),
        ("{a:1, /* c */ b:[2,],} 7", {"a": 1, "b": [2]}),
    ],
)
def test_ion_of_other_makers_is_read(text: str, expected: object) -> None:
    assert value("fromIon(t)", t=text) == expected
