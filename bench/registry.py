"""All figures by name, in the order in which they are measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench import (
    containers,
    flood,
    git,
    hostile,
    language,
    loads,
    raw,
    runs,
    shells,
    starting,
    steps,
    triggers,
    webhooks,
    writes,
)
from bench.settings import Measure

FIGURES: Mapping[str, Measure] = {
    "commits": raw.figures,
    "writes-sqlite": writes.sqlite,
    "writes-postgres": writes.postgres,
    "steps": steps.cost,
    "expressions": language.three_expressions,
    "parse": language.parse_and_check,
    "validate": language.validate_one,
    "validate-many": language.validate_many,
    "ready": starting.ready,
    "memory": starting.idle_memory,
    "one-task": runs.one_task,
    "core-tasks": runs.core_sequence,
    "idle": runs.idle,
    "shell-tasks": shells.sequence,
    "shell-fan-out": shells.parallel,
    "shell-kill": shells.kill,
    "scripts": shells.scripts,
    "first-task": runs.first_task,
    "docker-start": containers.docker_start,
    "log-flood": flood.log_flood,
    "webhooks-sqlite": webhooks.sqlite,
    "webhooks-postgres": webhooks.postgres,
    "webhooks-slow": webhooks.slow,
    "webhooks-followed": webhooks.followed,
    "webhooks-after-many": webhooks.after_many,
    "webhook-storm": triggers.webhook_storm,
    "schedules": triggers.schedules,
    "loops": loads.wide_loops,
    "nested-loops": loads.nested_loops,
    "fan-out": loads.fan_out,
    "beside": loads.beside_a_loop,
    "kill": loads.kill_of_a_loop,
    "beside-hostile": hostile.beside_hostile,
    "git-first": git.first,
    "git-poll": git.poll,
    "git-one-file": git.one_file,
    "git-beside": git.beside,
}


def chosen(names: Sequence[str]) -> dict[str, Measure]:
    """The figures of these names, in our order; all without names. Raises `KeyError`."""
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        raise KeyError(f"no figure is called {unknown[0]}; there are {', '.join(FIGURES)}")
    return {name: measure for name, measure in FIGURES.items() if not names or name in names}
