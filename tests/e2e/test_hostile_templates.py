"""Templates made to hurt run in a service, and everybody else's executions run beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.live import Service, live_service, wait_for

CORE = "io.kestra.plugin.core"
ONE = f"""\
id: one
namespace: team
tasks:
  - id: say
    type: {CORE}.debug.Return
    format: "run {{{{ execution.id }}}}"
"""
LONG = "a" * 40 + "!"
HOSTILE = {
    "jq": "{{ [1] | jq('[limit(500000; repeat(1))] | length') }}",
    "pattern": "{{ '" + LONG + "' | replace({'^(a|a)*$': ''}, regexp=true) }}",
    "match": "{{ '" + LONG + "' | regexMatch('^(a|a)*$') }}",
    "range": "{{ range(1, 1000000000) }}",
    "loops": "{% for a in 1..9999 %}{% for b in 1..9999 %}x{% endfor %}{% endfor %}",
    "join": "{{ range(1, 99999) | join('%s') }}" % ("x" * 1000),
    "render": "{{ render(vars.again) }}",
    "pipes": "{{ 'a' | replace({'a': 'b'})" + " | upper" * 120 + " }}",
}
BESIDE = 5


def hostile(name: str, template: str) -> str:
    text = template.replace("'", "''")
    return f"""\
id: hostile_{name}
namespace: team
variables:
  again: "{{{{ render(vars.again) }}}}"
tasks:
  - id: hurt
    type: {CORE}.debug.Return
    format: '{text}'
    timeout: PT20S
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with live_service(tmp_path_factory.mktemp("hostile")) as running:
        running.put_flow(ONE)
        yield running


def logged(service: Service, execution_id: str) -> str:
    lines: list[dict[str, Any]] = service.get(f"/api/v1/main/logs/{execution_id}").json()
    return "\n".join(str(line.get("message")) for line in lines)


@pytest.mark.parametrize("name", HOSTILE)
def test_executions_run_beside_a_template_made_to_hurt(service: Service, name: str) -> None:
    service.put_flow(hostile(name, HOSTILE[name]))
    hurting = service.start_flow("team", f"hostile_{name}")
    beside = [service.start_flow("team", "one") for _ in range(BESIDE)]
    assert service.get("/health/live").status_code == 200
    for execution_id in beside:
        ended = service.ended(execution_id, 60)
        assert ended["state"]["current"] == "SUCCESS"
        [run] = ended["taskRunList"]
        assert run["outputs"]["value"] == f"run {execution_id}"
    ended = service.ended(hurting, 90)
    assert ended["state"]["current"] in {"SUCCESS", "FAILED"}
    if ended["state"]["current"] == "FAILED":
        wait_for(lambda: logged(service, hurting), bool)
    assert service.get("/health/live").status_code == 200


def test_all_of_them_at_once_stop_nobody(service: Service) -> None:
    for name, template in HOSTILE.items():
        service.put_flow(hostile(name, template))
    hurting = [service.start_flow("team", f"hostile_{name}") for name in HOSTILE]
    beside = []
    for _ in range(BESIDE):
        beside.append(service.start_flow("team", "one"))
        assert service.ended(beside[-1], 60)["state"]["current"] == "SUCCESS"
        assert service.get("/health/live").status_code == 200
    for execution_id in hurting:
        assert service.ended(execution_id, 120)["state"]["current"] in {"SUCCESS", "FAILED"}
