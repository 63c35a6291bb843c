"""Templates: a few tasks under a name, written like a flow that has nothing else.

They are read by the same code as flows; what only flows have is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from penstock_runner.flow.faults import Fault
from penstock_runner.flow.parse import Parsed
from penstock_runner.flow.wording import unknown_property

TEMPLATE_CLASS = "io.kestra.core.models.templates.Template"
PROPERTIES = ("id", "namespace", "description", "tasks", "errors", "deleted", "tenantId")


def template_faults(parsed: Parsed) -> Iterator[Fault]:
    """What a flow may have and a template may not, beyond the faults of a flow."""
    data = parsed.document.data
    for name in data if isinstance(data, Mapping) else ():
        if name not in PROPERTIES:
            yield unknown_property(parsed.document, "", str(name), TEMPLATE_CLASS, PROPERTIES)
