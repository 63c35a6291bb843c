from __future__ import annotations

from penstock_runner.flow.model import Flow, Trigger
from penstock_server.scheduler.webhook import WEBHOOK, body_value, find_trigger


def hook(trigger_id: str, key: str) -> Trigger:
    return Trigger(id=trigger_id, type=WEBHOOK, kind=WEBHOOK, properties={"key": key})


def render(text: str) -> str | None:
    if "nope" in text:
        raise ValueError(text)
    return text.replace("{{ secret('K') }}", " hidden ")


def test_the_first_trigger_with_the_key_is_taken() -> None:
    flow = Flow(
        id="a",
        namespace="team",
        triggers=(
            hook("broken", "{{ nope }}"),
            hook("one", "x"),
            hook("two", "{{ secret('K') }}"),
            hook("again", "x"),
            hook("empty", ""),
        ),
    )
    found = {key: find_trigger(flow, key, render) for key in ("x", "hidden", "y", "")}
    assert {key: one.id if one else None for key, one in found.items()} == {
        "x": "one",
        "hidden": "two",
        "y": None,
        "": None,
    }


def test_a_body_is_json_where_it_can_be() -> None:
    assert body_value(b'{"a": 1}') == {"a": 1}
    assert body_value(b"[1, 2]") == [1, 2]
    assert body_value(b"12") == "12"
    assert body_value(b"{broken") == "{broken"
    assert body_value(b"") is None
