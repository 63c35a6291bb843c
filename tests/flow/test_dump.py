from __future__ import annotations

from tests.flow.shelf import a_log, flow_text

from penstock_runner.flow.dump import flow_json
from penstock_runner.flow.parse import parse_flow


def test_a_flow_is_shown_as_written_without_its_nulls() -> None:
    parsed = parse_flow(flow_text(a_log(more="description: null"), "labels: {a: 1}"))
    assert flow_json(parsed.document.data) == {
        "id": "one",
        "namespace": "team",
        "labels": [{"key": "a", "value": "1"}],
        "tasks": [{"id": "it", "type": "io.kestra.plugin.core.log.Log", "message": "hi"}],
    }
