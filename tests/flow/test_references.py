from __future__ import annotations

from penstock_runner.flow.parse import parse_flow
from penstock_runner.flow.references import references

FLOW = """id: a
namespace: team
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: [1]
    tasks:
      - id: call
        type: io.kestra.plugin.core.flow.Subflow
        namespace: other
        flowId: b
        inputs: {flowId: data}
  - id: built
    type: io.kestra.plugin.core.flow.Subflow
    namespace: "{{ inputs.where }}"
    flowId: c
  - id: log
    type: io.kestra.plugin.core.log.Log
    message: |
      one {{ secret('FIRST') }}
      two {{ secret(inputs.name) }} {{ secret("SECOND") }}
    # {{ secret('COMMENT') }}
"""


def test_names_that_are_written_out_are_found_at_their_places() -> None:
    parsed = parse_flow(FLOW)
    found = [
        (one.kind, one.namespace, one.name, one.line, one.column)
        for one in references(parsed.document, "team")
    ]
    assert found == [
        ("flow", "other", "b", 11, 17),
        ("secret", "team", "FIRST", 20, 22),
        ("secret", "team", "SECOND", 21, 48),
    ]
