"""Figure 8: reading, checking and rendering, from the command line and in this process."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import jinja2
import yaml

from bench import flows, raw
from bench.records import Raw, Record, record
from bench.service import PENSTOCK, home
from bench.settings import Bench
from penstock_runner.expressions.environment import Expressions, NoServices
from penstock_runner.flow.parse import parse_flow
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.validation import all_faults

THREE = (
    "Hello {{ inputs.who | upper }}",
    "{{ outputs.first.value ~ '-' ~ flow.id }}",
    "{{ inputs.count > 3 ? 'many' : 'few' }}",
)
PLAIN = (*THREE[:2], "{{ 'many' if inputs.count > 3 else 'few' }}")
SEEN = {
    "inputs": {"who": "you", "count": 5},
    "outputs": {"first": {"value": "one"}},
    "flow": {"id": "large"},
}
RENDERED = ("Hello YOU", "one-large", "many")


def validate_one(bench: Bench) -> list[Record]:
    """`penstock validate` of one file, from the start of the process to its end."""
    with home() as folder:
        file = folder / "flow.yaml"
        file.write_text(flows.large(60))
        values = bench.repeated("penstock validate, one file", lambda: _validate(file, 1) * 1000, 9)
    return [record("penstock validate, one file", "ms", values, aim=300, raw=raw.python(bench))]


def validate_many(bench: Bench) -> list[Record]:
    """`penstock validate` of a folder of 5,000 files."""
    count = bench.count(5_000, 50)
    with home() as folder:
        for n in range(count):
            (folder / f"flow{n}.yaml").write_text(flows.large(6, flow_id=f"flow{n}"))
        values = bench.repeated(
            f"penstock validate, {count} files", lambda: _validate(folder, count), 3
        )
        begun = time.perf_counter()
        for file in folder.iterdir():
            yaml.load(file.read_text(), yaml.CSafeLoader)
        seconds = time.perf_counter() - begun
    return [
        record(
            f"penstock validate, {count:,} files",
            "s",
            values,
            aim=None if bench.quick else 15,
            raw=Raw(name="the same YAML loaded", value=seconds, unit="s"),
        )
    ]


def parse_and_check(bench: Bench) -> list[Record]:
    """Parse and check a flow of 60 tasks, as is done once for a revision."""
    text = flows.large(60)
    registry = Registry()

    def read() -> None:
        parsed = parse_flow(text)
        faults = all_faults(parsed, registry)
        if parsed.flow is None or faults or len(list(parsed.flow.walk())) != 60:
            raise AssertionError(f"the flow was not read: {[str(fault) for fault in faults][:3]}")

    values = [_milliseconds(read, bench.count(50, 3)) for _ in range(bench.repetitions())]
    loaded = _milliseconds(lambda: yaml.load(text, yaml.CSafeLoader), bench.count(50, 3))
    return [
        record(
            "parse and check a flow of 60 tasks",
            "ms",
            values,
            aim=6,
            raw=Raw(name="its YAML loaded", value=loaded, unit="ms"),
        )
    ]


def three_expressions(bench: Bench) -> list[Record]:
    """Three short expressions, rendered again and again."""
    expressions, services = Expressions(), NoServices()
    plain = jinja2.Environment(autoescape=False)
    templates = [plain.from_string(text) for text in PLAIN]

    def ours() -> None:
        if tuple(expressions.render(text, SEEN, services) for text in THREE) != RENDERED:
            raise AssertionError("an expression rendered to something else")

    def theirs() -> None:
        if tuple(template.render(SEEN) for template in templates) != RENDERED:
            raise AssertionError("a template rendered to something else")

    times = bench.count(5_000, 50)
    values = [_milliseconds(ours, times) * 1000 for _ in range(bench.repetitions())]
    bare = _milliseconds(theirs, times) * 1000
    return [
        record(
            "three expressions rendered",
            "us",
            values,
            aim=20,
            raw=Raw(name="plain Jinja2", value=bare, unit="us"),
        )
    ]


def _validate(path: Path, files: int) -> float:
    begun = time.perf_counter()
    done = subprocess.run(
        [*PENSTOCK, "validate", str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ},
    )
    seconds = time.perf_counter() - begun
    if done.returncode != 0 or f", {files} valid; 0 errors, 0 warnings" not in done.stderr:
        raise AssertionError(f"validate says {done.returncode}: {done.stderr[-500:]}")
    return seconds


def _milliseconds(act: Callable[[], object], times: int) -> float:
    act()
    begun = time.perf_counter()
    for _ in range(times):
        act()
    return (time.perf_counter() - begun) / times * 1000
