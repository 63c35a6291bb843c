"""What a Template task asks of the executor: the tasks of a template as it is stored now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock_runner.engine.flowables.template import content, known, named
from penstock_runner.engine.plan import OF_TEMPLATE, node_id
from penstock_runner.engine.state import RunKey
from penstock_runner.executor.live import Live
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.flow.parse import parse_flow

DEEPEST = 20

# The text of a template by namespace and id.
FindTemplate = Callable[[str, str], str | None]


def found(live: Live, key: RunKey, find: FindTemplate) -> dict[str, Any] | bool | None:
    """The tasks of the template, True when this execution has them, None when there is none.

    They get the defaults that the tasks of the flow got. Raises `ExpressionFailed` when they cannot
    be used.
    """
    task, node = live.task(key), node_id(key)
    if node in known(live.fold.head):
        return True
    if node.count(OF_TEMPLATE) >= DEEPEST:
        raise ExpressionFailed(
            f"Templates are nested {DEEPEST} deep; does '{named(task)}' bring itself in?"
        )
    namespace, template_id = (str(task.properties.get(n)) for n in ("namespace", "templateId"))
    source = find(namespace, template_id)
    if source is None:
        return None
    parsed = parse_flow(source, strict=False, global_defaults=live.loaded.defaults)
    if parsed.effective is None:
        first = next(iter(parsed.errors), None)
        raise ExpressionFailed(f"The template '{named(task)}' is not valid: {first}")
    return content(parsed.effective.tasks, parsed.effective.errors)
