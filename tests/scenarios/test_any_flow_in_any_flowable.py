"""All flows that are at hand, their tasks in each flowable in turn, come to the same states."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.executor.harness import stored
from tests.scenarios.wrapping import (
    LOOPS,
    WRAPPERS,
    Ended,
    Play,
    flow_files,
    kept_apart,
    reads_places,
    valid,
    wrapped,
)


def sources() -> Iterator[tuple[str, str]]:
    """Every flow that can be wrapped, by name."""
    for path in flow_files():
        source = path.read_text("utf-8")
        data = yaml.safe_load(source)
        if isinstance(data, dict) and isinstance(data.get("tasks"), list) and valid(source):
            yield f"{path.parent.name}/{path.stem}", source


GOOD = frozenset({"SUCCESS", "WARNING"})
SOURCES = dict(sources())


@pytest.fixture(scope="module")
def play() -> Play:
    return Play([stored(source) for source in SOURCES.values()])


@pytest.mark.parametrize("name", SOURCES)
def test_a_flowable_around_all_tasks_changes_no_state(
    name: str, play: Play, tmp_path: Path
) -> None:
    source = SOURCES[name]
    plain = play(source, tmp_path)
    for wrapper, wrap in WRAPPERS.items():
        if wrapper in LOOPS and reads_places(source):
            continue
        if wrapper == "AllowFailure" and not (isinstance(plain, Ended) and plain.state in GOOD):
            continue  # a failure is what it changes
        if wrapper == "Loop" and isinstance(plain, Ended) and plain.state == "WARNING":
            continue  # warnings stay inside
        inside = wrapped(source, wrap)
        if not valid(inside):
            continue
        assert play(inside, tmp_path) == plain, wrapper


@pytest.mark.parametrize("name", SOURCES)
def test_a_template_around_all_tasks_changes_no_state(
    name: str, play: Play, tmp_path: Path
) -> None:
    plain = play(SOURCES[name], tmp_path)
    inside, template = kept_apart(SOURCES[name])
    assert play(inside, tmp_path, template) == plain
