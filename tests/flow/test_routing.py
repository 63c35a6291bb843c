"""Which runner may take what: the spellings, the matches, the reasons."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_runner.flow.routing import (
    BadRoute,
    Route,
    lacking,
    read_route,
    why_unmatched,
)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param(None, Route(), id="nothing"),
        pytest.param({"runs_on": "GPU"}, Route(required=("gpu",)), id="one"),
        pytest.param(
            {"runs_on": ["gpu", "region=eu", "gpu"]},
            Route(required=("gpu", "region=eu")),
            id="several",
        ),
        pytest.param({"worker_group": {"key": "gpu"}}, Route(required=("gpu",)), id="group"),
        pytest.param(
            {"worker_group": {"key": "gpu", "fallback": "cancel"}},
            Route(required=("gpu",), fallback="CANCEL"),
            id="group and fallback",
        ),
        pytest.param(
            {"worker_selector": {"tags": ["gpu", "eu"]}},
            Route(required=("gpu", "eu"), fallback="FAIL"),
            id="selector",
        ),
        pytest.param(
            {"worker_selector": {"tags": ["gpu", "eu"], "match": "ANY", "fallback": "WAIT"}},
            Route(required=("gpu|eu",)),
            id="any of several",
        ),
    ],
)
def test_three_spellings_say_one_thing(written: Any, expected: Route) -> None:
    assert read_route(written) == expected


@pytest.mark.parametrize(
    "written",
    [
        {"runs_on": "two words"},
        {"runs_on": "a|b"},
        {"worker_group": {}},
        {"worker_selector": {"match": "ALL"}},
        {"worker_selector": {"tags": ["a"], "match": "MOST"}},
        {"worker_group": {"key": "a", "fallback": "HOPE"}},
    ],
)
def test_what_says_no_place_is_refused(written: Any) -> None:
    with pytest.raises(BadRoute):
        read_route(written)


@pytest.mark.parametrize(
    ("required", "offered", "missing"),
    [
        ((), (), []),
        ((), ("gpu",), []),
        (("gpu",), ("gpu", "linux"), []),
        (("gpu",), (), ["gpu"]),
        (("gpu",), ("gpu=a100",), []),
        (("gpu=a100",), ("gpu",), ["gpu=a100"]),
        (("gpu=a100",), ("gpu=h100",), ["gpu=a100"]),
        (("gpu=a100",), ("gpu=*",), []),
        (("gpu", "region=eu"), ("gpu", "region=us"), ["region=eu"]),
        (("gpu|tpu",), ("tpu",), []),
        (("gpu|tpu",), ("cpu",), ["gpu|tpu"]),
        ((), ("!gpu",), ["!gpu"]),
        (("gpu",), ("!gpu",), []),
        (("gpu=a100",), ("!gpu=a100",), []),
        (("gpu",), ("!gpu=a100",), []),
        (("gpu=a100",), ("!gpu", "gpu=a100"), []),
        (("gpu=h100",), ("!gpu=a100", "gpu=h100"), ["!gpu=a100"]),
        (("linux",), ("!gpu", "linux"), ["!gpu"]),
        (("gpu", "linux"), ("!gpu", "linux"), []),
    ],
)
def test_a_runner_takes_what_it_offers_all_of(
    required: tuple[str, ...], offered: tuple[str, ...], missing: list[str]
) -> None:
    assert lacking(required, offered) == missing


def test_why_nobody_takes_a_job_names_the_runner_that_comes_closest() -> None:
    runners = {"w1": {"linux"}, "w2": {"linux", "gpu"}, "w3": {"!secure"}}
    assert why_unmatched(("gpu",), runners) is None
    assert why_unmatched(("gpu", "region=eu"), runners) == (
        "waiting for [gpu, region=eu]: 0 of 3 runners match; closest: w2 lacks region=eu"
    )
    assert why_unmatched(("gpu",), {}) == "waiting for [gpu]: 0 of 0 runners match"
    assert why_unmatched((), {"w3": {"!secure"}}) == (
        "waiting for [no label]: 0 of 1 runners match; closest: w3 takes only what asks for secure"
    )
