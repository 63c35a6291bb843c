from __future__ import annotations

import json
from datetime import timedelta

from tests.api.building import NOON, Web

from penstock_runner.engine.state import Execution, State


def test_lines_are_searched_by_level_and_paged(web: Web) -> None:
    web.log("a", ("INFO", "john doe"))
    web.log("b", ("WARN", "john doe"))
    web.log("c", ("DEBUG", "john 100%"))
    search = "/api/v1/logs/search"
    assert web.client.get(search).json["total"] == 3
    assert web.client.get(f"{search}?minLevel=INFO").json["total"] == 2
    assert web.client.get(f"{search}?q=100%25").json["total"] == 1
    assert web.client.get(f"{search}?q=0_%25").json["total"] == 0
    assert web.client.get(f"{search}?size=1&sort=timestamp:desc").json["results"][0]["level"]
    for bad in ("page=1&size=-1", "page=0", "minLevel=LOUD", "sort=message:asc"):
        assert web.client.get(f"{search}?{bad}").status_code == 422, bad


def test_lines_of_an_execution_come_in_order(web: Web) -> None:
    web.log("a", ("INFO", "one"), ("ERROR", "two"))
    web.log("b", ("INFO", "other"))
    lines = web.client.get("/api/v1/logs/a").json
    assert [line["message"] for line in lines] == ["one", "two"]
    assert lines[0] == {
        "namespace": "team",
        "flowId": "greet",
        "executionId": "a",
        "timestamp": "2026-01-31T12:00:00.001000Z",
        "level": "INFO",
        "message": "one",
    }
    assert len(web.client.get("/api/v1/logs/a?minLevel=ERROR").json) == 1
    assert web.client.get("/api/v1/logs/unknown").json == []


def test_a_log_is_downloaded_as_text(web: Web) -> None:
    web.log("a", ("INFO", "one"), ("ERROR", "two"))
    answer = web.client.get("/api/v1/logs/a/download")
    assert answer.text == (
        "2026-01-31T12:00:00.001000Z INFO one\n2026-01-31T12:00:00.002000Z ERROR two"
    )
    assert "attachment" in answer.headers["Content-Disposition"]
    assert "a.log" in answer.headers["Content-Disposition"]


def test_lines_are_deleted(web: Web) -> None:
    web.log("a", ("INFO", "one"))
    assert web.client.delete("/api/v1/logs/a").status_code == 200
    assert web.client.get("/api/v1/logs/a").json == []


def ended(*states: State) -> Execution:
    history = tuple((state, NOON + timedelta(seconds=n)) for n, state in enumerate(states))
    return Execution(id="x1", namespace="team", flow_id="greet", flow_revision=1, history=history)


def events(text: str) -> list[tuple[str, dict[str, object]]]:
    found = []
    for part in text.split("\n\n"):
        if part.startswith("id: "):
            head, data = part.split("\n", 1)
            found.append((head.removeprefix("id: "), json.loads(data.removeprefix("data: "))))
    return found


def test_following_what_has_ended_gives_one_end(web: Web) -> None:
    web.core.put(ended(State.CREATED, State.SUCCESS))
    answer = web.client.get("/api/v1/executions/x1/follow", buffered=True)
    assert answer.mimetype == "text/event-stream"
    [(name, data)] = events(answer.text)
    assert (name, data["state"]["current"]) == ("end", "SUCCESS")  # type: ignore[index]
    assert web.core.followings == []


def test_following_tells_each_change_and_the_end_twice(web: Web) -> None:
    web.core.put(ended(State.CREATED))
    web.core.waking = lambda: None
    stream = web.client.get("/api/v1/executions/x1/follow", buffered=False)
    parts = iter(stream.response)
    first = next(parts)
    web.core.move(web.core.get("x1"), State.RUNNING, State.SUCCESS)
    rest = "".join(part if isinstance(part, str) else part.decode() for part in parts)
    text = (first if isinstance(first, str) else first.decode()) + rest
    assert [(name, data["state"]["current"]) for name, data in events(text)] == [  # type: ignore[index]
        ("progress", "CREATED"),
        ("progress", "SUCCESS"),
        ("end", "SUCCESS"),
    ]
    stream.close()
    assert web.core.followings == []


def test_followed_lines_go_on_after_the_last_one_seen(web: Web) -> None:
    web.log("a", ("INFO", "one"), ("INFO", "two"))
    stream = web.client.get("/api/v1/logs/a/follow", buffered=False, headers={"Last-Event-ID": "1"})
    parts = iter(stream.response)
    [(name, data)] = events(text_of(next(parts)))
    assert (name, data["message"]) == ("2", "two")
    web.log("a", ("WARN", "three"))
    web.core.followings[0].put({"type": "logs"})
    [(name, data)] = events(text_of(next(parts)))
    assert (name, data["message"]) == ("3", "three")
    stream.close()


def test_one_follower_too_many_is_asked_to_come_back(web: Web) -> None:
    web.core.put(ended(State.CREATED))
    streams = [web.client.get("/api/v1/executions/x1/follow", buffered=False) for _ in range(3)]
    refused = web.client.get("/api/v1/executions/x1/follow")
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "10"
    streams[0].close()
    again = web.client.get("/api/v1/executions/x1/follow", buffered=False)
    assert again.status_code == 200
    for stream in [*streams[1:], again]:
        stream.close()
    assert web.core.followings == []


def text_of(part: str | bytes) -> str:
    return part if isinstance(part, str) else part.decode()
