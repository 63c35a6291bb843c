"""The own properties of types that order other tasks: models only, what they do is the engine's.

Which properties hold child tasks is language, and is written in `flow.types`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from penstock_runner.tasks.api import (
    Outputs,
    Properties,
    RunContext,
    TaskFailed,
    TaskProperties,
    Typed,
    task,
)
from penstock_runner.tasks.service_types import ServiceProperties

Texts = tuple[str, ...]


@task("io.kestra.plugin.core.flow.Sequential", kind="flowable")
class Sequential(TaskProperties):
    """Run tasks one after the other."""


@task("io.kestra.plugin.core.flow.Parallel", kind="flowable")
class Parallel(TaskProperties):
    """Run tasks at the same time, `concurrent` of them at once (0: all)."""

    concurrent: int = Field(default=0, ge=0)


@task("io.kestra.plugin.core.flow.Dag", kind="flowable")
class Dag(TaskProperties):
    """Run each task when the tasks it depends on have ended."""

    concurrent: int = Field(default=0, ge=0)


@task("io.kestra.plugin.core.flow.If", kind="flowable")
class If(TaskProperties):
    """Run `then` when the condition holds, else `else`."""

    condition: object = None


@task("io.kestra.plugin.core.flow.Switch", kind="flowable")
class Switch(TaskProperties):
    """Run the tasks of the case that a value names."""

    value: str


@task("io.kestra.plugin.core.flow.ForEach", kind="flowable")
class ForEach(TaskProperties):
    """Run tasks for each value, `concurrency_limit` values at once (0: all)."""

    values: object
    concurrency_limit: int = Field(default=1, ge=0)


@task("io.kestra.plugin.core.flow.EachSequential", kind="flowable")
class EachSequential(TaskProperties):
    """Run tasks for each value, one value after the other (`ForEach` is the present way)."""

    value: object


@task("io.kestra.plugin.core.flow.EachParallel", kind="flowable")
class EachParallel(TaskProperties):
    """Run tasks for all values at the same time (`ForEach` is the present way)."""

    value: object
    concurrent: int = Field(default=0, ge=0)


@task("io.kestra.plugin.core.flow.AllowFailure", kind="flowable")
class AllowFailure(TaskProperties):
    """Run tasks; the flow goes on with a warning when one fails."""


class CheckFrequency(Properties):
    """How often and how long a loop looks at its condition."""

    max_iterations: int | None = None
    max_duration: timedelta | None = None
    interval: timedelta | None = None


@task("io.kestra.plugin.core.flow.WaitFor", kind="flowable")
class WaitFor(TaskProperties):
    """Repeat tasks until a condition holds (`LoopUntil` is the present way)."""

    condition: object
    fail_on_max_reached: bool = False
    check_frequency: CheckFrequency | None = None


@task("io.kestra.plugin.core.flow.LoopUntil", kind="flowable")
class LoopUntil(TaskProperties):
    """Repeat tasks until a condition holds."""

    condition: object
    fail_on_max_reached: bool = False
    check_frequency: CheckFrequency | None = None


@task("io.kestra.plugin.core.flow.Loop", kind="flowable")
class Loop(TaskProperties):
    """Run tasks for each item of a list, a map or a file, each time in a world of its own."""

    values: Annotated[object, Typed()]
    concurrency_limit: int = Field(default=0, ge=0)
    outputs: object = None
    fetch_type: Literal["AUTO", "FETCH", "STORE"] = "AUTO"
    break_when: str | None = None
    transmit_failed: bool = True


@task("io.kestra.plugin.core.flow.Pause", kind="flowable")
class Pause(TaskProperties):
    """Wait for somebody to resume the execution, or for a time."""

    delay: timedelta | None = None
    timeout: timedelta | None = None
    pause_duration: timedelta | None = None
    behavior: Literal["RESUME", "WARN", "FAIL", "CANCEL"] = "RESUME"
    on_resume: tuple[Mapping[str, object], ...] | None = None


class Cache(Properties):
    """What a working directory keeps from one execution to the next.

    With a `key` a cache is shared by the namespace and not written again; `restoreKeys` are starts
    of keys that may take its place.
    """

    patterns: Texts
    ttl: timedelta | None = None
    key: str | None = None
    restore_keys: Texts | None = None


class NamespaceFiles(Properties):
    """Which files of the namespace are put into the working directory."""

    enabled: bool = True
    include: Texts | None = None
    exclude: Texts | None = None
    namespaces: Texts | None = None


@task("io.kestra.plugin.core.flow.WorkingDirectory", kind="flowable")
class WorkingDirectory(TaskProperties):
    """Run tasks one after the other in one shared folder."""

    cache: Cache | None = None
    namespace_files: NamespaceFiles | None = None
    input_files: object = None
    output_files: Texts | None = None
    checkout: bool | Mapping[str, object] = False
    env: Mapping[str, str] | None = None
    services: tuple[ServiceProperties, ...] | None = None


class Batch(Properties):
    """How the items of a file are divided: by rows, bytes or partitions."""

    rows: int | None = None
    bytes: str | int | None = None
    partitions: int | None = None
    separator: str = "\n"


@task("io.kestra.plugin.core.flow.Subflow")
class Subflow(TaskProperties):
    """Start another flow, and wait for it."""

    namespace: str
    flow_id: str
    revision: int | None = Field(default=None, ge=1)
    inputs: Mapping[str, object] | None = None
    labels: object = None
    wait: bool = True
    transmit_failed: bool = True
    inherit_labels: bool = False
    schedule_date: str | None = None
    outputs: Mapping[str, object] | None = None
    restart_behavior: Literal["RETRY_FAILED", "NEW_EXECUTION"] = "RETRY_FAILED"


@task("io.kestra.plugin.core.flow.ForEachItem", kind="flowable")
class ForEachItem(TaskProperties):
    """Start another flow for each batch of the items of a file."""

    items: str
    batch: Batch | None = None
    namespace: str
    flow_id: str
    revision: int | None = Field(default=None, ge=1)
    inputs: Mapping[str, object] | None = None
    labels: object = None
    wait: bool = True
    transmit_failed: bool = True
    inherit_labels: bool = False
    schedule_date: str | None = None
    outputs: Mapping[str, object] | None = None
    restart_behavior: Literal["RETRY_FAILED", "NEW_EXECUTION"] = "RETRY_FAILED"


@task("io.kestra.plugin.core.flow.Template")
class Template(TaskProperties):
    """Run the tasks of a template (deprecated); there are none, so it fails when it is reached."""

    namespace: str
    template_id: str
    args: Mapping[str, str] | None = None

    def run(self, ctx: RunContext) -> Outputs:  # noqa: ARG002 - there is nothing to run
        """Say that there is no such template."""
        raise TaskFailed(
            "Templates are not kept here, use a Subflow: "
            f"Can't find flow template '{self.namespace}.{self.template_id}'"
        )
