"""Names of secrets on the page of a namespace and in the API."""

from __future__ import annotations

from pathlib import Path

from tests.api.building import Web
from tests.web.building import execution, pages

from penstock_runner.engine.state import State
from penstock_runner.jobs.secrets import Scope, Secrets

USES = """
id: greet
namespace: team
tasks:
  - {id: hello, type: io.kestra.plugin.core.log.Log, message: "{{ secret('TOKEN') | upper }}"}
"""
OTHER = USES.replace("greet", "elsewhere").replace("team", "others")
SECRETS = Secrets(
    {"TOKEN": "hunter-22", "PROD_KEY": "4711-0815", "EMPTY": ""},
    scopes=[Scope(names="PROD_*", namespaces=("prod", "prod.*"))],
)


def built(tmp_path: Path) -> Web:
    web = pages(tmp_path, secrets=SECRETS)
    web.save(USES)
    web.save(OTHER)
    web.core.put(execution(states=(State.CREATED, State.SUCCESS)))
    return web


def test_the_page_of_a_namespace_names_its_secrets_and_who_uses_them(tmp_path: Path) -> None:
    page = built(tmp_path).client.get("/kv?namespace=team").text
    assert "TOKEN" in page
    assert ">team.greet</a>" in page
    assert "others.elsewhere</a>" not in page
    assert "is empty" in page
    assert "PROD_KEY" not in page
    assert "hunter-22" not in page
    assert "4711-0815" not in page


def test_the_api_lists_names_that_a_namespace_may_read(tmp_path: Path) -> None:
    web = built(tmp_path)
    for prefix in ("/api/v1", "/api/v1/main"):
        answer = web.client.get(f"{prefix}/namespaces/team/secrets")
        assert answer.json == {
            "readOnly": True,
            "results": [{"key": "EMPTY"}, {"key": "TOKEN"}],
            "total": 2,
        }
    answer = web.client.get("/api/v1/namespaces/prod.app/secrets?q=prod&size=1&sort=key:desc")
    assert answer.json == {"readOnly": True, "results": [{"key": "PROD_KEY"}], "total": 1}
    inherited = web.client.get("/api/v1/namespaces/prod/inherited-secrets").json
    assert inherited == {"prod": ["EMPTY", "PROD_KEY", "TOKEN"]}
