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

TWO = f"""\
id: two
namespace: {NAMESPACE}
inputs:
  - {{id: n, type: INT}}
tasks:
  - id: greet
    type: {CORE}.debug.Return
    format: "hello {{{{ inputs.n }}}}"
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
    steps = "".join(_shell(f"step{n}", "  ") for n in range(tasks))
    return f"id: shells\nnamespace: {NAMESPACE}\ntasks:\n{steps}"


def shell_fan(branches: int) -> str:
    """Shell tasks that do nothing, all at once."""
    tasks = "".join(_shell(f"branch{n}", "      ") for n in range(branches))
    return (
        f"id: shellfan\nnamespace: {NAMESPACE}\ntasks:\n"
        f"  - id: all\n    type: {CORE}.flow.Parallel\n    tasks:\n{tasks}"
    )


def _shell(task_id: str, indent: str) -> str:
    return (
        f"{indent}- id: {task_id}\n{indent}  type: io.kestra.plugin.scripts.shell.Commands\n"
        f"{indent}  taskRunner: {{type: {CORE}.runner.Process}}\n"
        f"{indent}  commands: ['true']\n"
    )


def script_sequence(tasks: int) -> str:
    """Python scripts that do next to nothing, one after the other."""
    steps = "".join(
        f"  - id: step{n}\n    type: io.kestra.plugin.scripts.python.Script\n"
        f"    taskRunner: {{type: {CORE}.runner.Process}}\n"
        "    script: import sys; print(sys.executable)\n"
        for n in range(tasks)
    )
    return f"id: scripts\nnamespace: {NAMESPACE}\ntasks:\n{steps}"


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


def nested(first: int, second: int, third: int) -> str:
    """Loops in loops in a loop."""
    place = "{{ parents[0].taskrun.value }}.{{ taskrun.value }}"
    return f"""\
id: nested
namespace: {NAMESPACE}
tasks:
  - id: first
    type: {CORE}.flow.ForEach
    values: "{{{{ range(1, {first}) }}}}"
    concurrencyLimit: 0
    tasks:
      - id: second
        type: {CORE}.flow.ForEach
        values: "{{{{ range(1, {second}) }}}}"
        concurrencyLimit: 0
        tasks:
          - id: third
            type: {CORE}.flow.ForEach
            values: "{{{{ range(1, {third}) }}}}"
            concurrencyLimit: 0
            tasks:
              - id: item
                type: {CORE}.debug.Return
                format: "{{{{ parents[1].taskrun.value }}}}.{place}"
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
