"""The flows that are measured; each renders something, to tell what ran from what did not."""

from __future__ import annotations

from collections.abc import Sequence

NAMESPACE = "bench"
HOOK_KEY = "bench-key"
CORE = "io.kestra.plugin.core"

ONE = f"""\
id: one
namespace: {NAMESPACE}
tasks:
  - id: say
    type: {CORE}.log.Log
    message: "run {{{{ execution.id }}}}"
"""

HOOKED = f"""\
id: hooked
namespace: {NAMESPACE}
triggers:
  - id: hook
    type: {CORE}.trigger.Webhook
    key: {HOOK_KEY}
    wait: true
tasks:
  - id: greet
    type: {CORE}.debug.Return
    format: "hello {{{{ trigger.body.n }}}}"
  - id: say
    type: {CORE}.log.Log
    message: "{{{{ outputs.greet.value }}}}"
"""

STORMED = f"""\
id: stormed
namespace: {NAMESPACE}
triggers:
  - id: hook
    type: {CORE}.trigger.Webhook
    key: {HOOK_KEY}
tasks:
  - id: say
    type: {CORE}.log.Log
    message: "storm {{{{ trigger.body.n }}}}"
"""


def scheduled(number: int, crons: Sequence[str]) -> str:
    """A flow with some schedules, whose expressions have seconds."""
    triggers = "".join(
        f"  - id: at{n}\n    type: {CORE}.trigger.Schedule\n"
        f'    cron: "{cron}"\n    withSeconds: true\n'
        for n, cron in enumerate(crons)
    )
    return (
        f"id: scheduled{number}\nnamespace: {NAMESPACE}\ntriggers:\n{triggers}"
        f"tasks:\n  - id: say\n    type: {CORE}.log.Log\n"
        '    message: "due {{ trigger.date }}"\n'
    )


def sequence(tasks: int) -> str:
    """Core tasks, one after the other."""
    steps = "".join(
        f"  - id: step{n}\n    type: {CORE}.debug.Return\n"
        f'    format: "step {n} of {{{{ flow.id }}}}"\n'
        for n in range(tasks)
    )
    return f"id: sequence\nnamespace: {NAMESPACE}\ntasks:\n{steps}"


def shell_sequence(tasks: int) -> str:
    """Shell tasks that do nothing, one after the other."""
    steps = "".join(
        f"  - id: step{n}\n    type: io.kestra.plugin.scripts.shell.Commands\n"
        f"    taskRunner:\n      type: {CORE}.runner.Process\n"
        "    commands:\n      - 'true'\n"
        for n in range(tasks)
    )
    return f"id: shells\nnamespace: {NAMESPACE}\ntasks:\n{steps}"


def each(count: int, *, at_once: int = 0) -> str:
    """One core task for each of many values; `at_once` 0 sets no limit."""
    return f"""\
id: each{count}
namespace: {NAMESPACE}
tasks:
  - id: loop
    type: {CORE}.flow.ForEach
    values: "{{{{ range(1, {count}) }}}}"
    concurrencyLimit: {at_once}
    tasks:
      - id: item
        type: {CORE}.debug.Return
        format: "value {{{{ taskrun.value }}}}"
"""


def fan(branches: int) -> str:
    """Different core tasks, all at once."""
    tasks = "".join(
        f"      - id: branch{n}\n        type: {CORE}.debug.Return\n"
        f'        format: "branch {n} of {{{{ flow.id }}}}"\n'
        for n in range(branches)
    )
    return (
        f"id: fan\nnamespace: {NAMESPACE}\ntasks:\n"
        f"  - id: all\n    type: {CORE}.flow.Parallel\n    tasks:\n{tasks}"
    )


def large(tasks: int, *, flow_id: str = "large") -> str:
    """A flow of many tasks of several kinds, for what reads flows; six tasks a group."""
    groups = "".join(_group(n) for n in range(tasks // 6))
    return (
        f"id: {flow_id}\nnamespace: {NAMESPACE}\n"
        f"inputs:\n  - id: who\n    type: STRING\n    defaults: you\ntasks:\n{groups}"
    )


def _group(n: int) -> str:
    return f"""\
  - id: group{n}
    type: {CORE}.flow.Sequential
    tasks:
      - id: log{n}
        type: {CORE}.log.Log
        message: "Hello {{{{ inputs.who }}}}, {n}"
        level: INFO
      - id: value{n}
        type: {CORE}.debug.Return
        format: "{{{{ taskrun.value }}}}"
        retry:
          type: constant
          interval: PT10S
          maxAttempts: 3
      - id: shell{n}
        type: io.kestra.plugin.scripts.shell.Commands
        description: Two commands with an environment
        taskRunner:
          type: {CORE}.runner.Process
        env:
          COLOUR: blue
          SIZE: large
        commands:
          - echo one
          - echo two
      - id: choose{n}
        type: {CORE}.flow.If
        condition: "{{{{ inputs.who == 'you' }}}}"
        then:
          - id: chosen{n}
            type: {CORE}.log.Log
            message: "chosen"
"""
