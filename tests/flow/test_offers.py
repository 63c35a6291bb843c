"""Which runner may take what, which comes first, and why none may."""

from __future__ import annotations

from datetime import timedelta

import pytest

from penstock_runner.flow.offers import (
    Demand,
    Offer,
    lacking,
    refusals,
    suits,
    urgency,
    why_unmatched,
    why_waiting,
)


def asks(*required: str, namespace: str = "team", protected: bool = False) -> Demand:
    return Demand(required=required, namespace=namespace, protected=protected)


def offer(*labels: str, namespaces: tuple[str, ...] = (), protected: bool = False) -> Offer:
    return Offer(labels=frozenset(labels), namespaces=namespaces, protected=protected)


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


@pytest.mark.parametrize(
    ("namespace", "taken"), [("prod.web", True), ("prod", False), ("dev.web", False), ("", False)]
)
def test_a_runner_of_some_namespaces_takes_only_their_jobs(namespace: str, taken: bool) -> None:
    found = refusals(asks(namespace=namespace), offer("gpu", namespaces=("prod.*",)))
    assert found == ([] if taken else ["is for the namespaces prod.*"])


def test_a_protected_runner_takes_only_flows_of_protected_refs() -> None:
    kept = offer("gpu", protected=True)
    assert refusals(asks("gpu", protected=True), kept) == []
    assert refusals(asks("gpu"), kept) == ["is for flows of protected refs"]


def test_labels_do_not_open_what_a_runner_is_kept_for() -> None:
    kept = offer("gpu", namespaces=("prod",), protected=True)
    assert refusals(asks("gpu", namespace="team"), kept) == [
        "is for the namespaces prod",
        "is for flows of protected refs",
    ]


def test_why_nobody_takes_a_job_names_the_runner_that_comes_closest() -> None:
    runners = {"w1": offer("linux"), "w2": offer("linux", "gpu"), "w3": offer("!secure")}
    assert why_unmatched(asks("gpu"), runners) is None
    assert why_unmatched(asks("gpu", "region=eu"), runners) == (
        "waiting for [gpu, region=eu]: 0 of 3 runners match; closest: w2 lacks region=eu"
    )
    assert why_unmatched(asks("gpu"), {}) == "waiting for [gpu]: 0 of 0 runners match"
    assert why_unmatched(asks(), {"w3": offer("!secure")}) == (
        "waiting for [no label]: 0 of 1 runners match; closest: w3 takes only what asks for secure"
    )
    assert why_unmatched(asks("gpu|tpu"), {"w4": offer("cpu", namespaces=("prod",))}) == (
        "waiting for [gpu or tpu]: 0 of 1 runners match; "
        "closest: w4 lacks gpu or tpu and is for the namespaces prod"
    )


def test_a_job_that_waits_for_busy_runners_says_so() -> None:
    runners = {"w1": offer("gpu"), "w2": offer("cpu")}
    assert why_waiting(asks("gpu"), runners) == (
        "waiting for [gpu]: 1 of 2 runners match, without a free slot"
    )
    assert "0 of 2 runners match" in why_waiting(asks("tpu"), runners)


@pytest.mark.parametrize(
    ("required", "better", "worse"),
    [
        pytest.param((), ("linux",), ("linux", "gpu"), id="nothing special for who asks nothing"),
        pytest.param(("gpu",), ("gpu",), ("gpu=a100",), id="met to the letter"),
        pytest.param(("gpu=a100",), ("gpu=a100",), ("gpu=*",), id="the value, not any value"),
        pytest.param(("gpu",), ("gpu", "linux"), ("gpu", "linux", "fast"), id="fewest unused"),
        pytest.param(
            ("gpu", "eu"), ("gpu", "eu", "a", "b"), ("gpu=1", "eu"), id="exact before unused"
        ),
        pytest.param(("gpu|tpu",), ("gpu",), ("gpu=1",), id="one of several"),
        pytest.param(("gpu",), ("!gpu",), ("!gpu", "linux"), id="exclusive counts as met"),
    ],
)
def test_the_runner_that_suits_best_comes_first(
    required: tuple[str, ...], better: tuple[str, ...], worse: tuple[str, ...]
) -> None:
    assert suits(required, better) < suits(required, worse)


def test_hurry_grows_with_each_minute_of_waiting() -> None:
    assert urgency(0, timedelta(seconds=59)) == 0
    assert urgency(0, timedelta(seconds=60)) == 1
    assert urgency(5, timedelta(seconds=-1)) == 5
    assert urgency(0, timedelta(minutes=10)) > urgency(9, timedelta())
