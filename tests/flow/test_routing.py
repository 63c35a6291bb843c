"""Which runner may take what: the spellings, the matches, the reasons."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_runner.flow.routing import BadRoute, Route, read_route


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
