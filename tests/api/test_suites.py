from __future__ import annotations

from tests.api.building import Web

from penstock_server.store import test_suites
from penstock_server.store.test_suites import TestSuite

SOURCE = """id: {id}
namespace: {namespace}
flowId: greet
testCases: [{{id: one, type: io.kestra.core.tests.flow.UnitTest}}]
"""


def put(web: Web, name: str, namespace: str = "team") -> None:
    suite = TestSuite(
        namespace=namespace,
        id=name,
        flow_id="greet",
        source=SOURCE.format(id=name, namespace=namespace),
        digest="d",
        updated_at=web.core.clock.now(),
        managed_by="main",
        commit_sha="a" * 40,
        git_path=f"tests/{name}.yml",
    )
    with web.core.database.begin() as tx:
        test_suites.put(tx.connection, [suite])


def test_suites_are_listed_by_namespace_and_flow_and_shown_with_their_text(web: Web) -> None:
    put(web, "a")
    put(web, "b", "team.child")
    put(web, "c", "other")
    found = web.client.get("/api/v1/main/tests/search?namespace=team&flowId=greet").json
    assert [one["id"] for one in found["results"]] == ["a", "b"]
    assert web.client.get("/api/v1/tests/search?flowId=nobody").json["total"] == 0
    one = web.client.get("/api/v1/tests/team/a").json
    assert one["testCases"] == [{"id": "one", "type": "io.kestra.core.tests.flow.UnitTest"}]
    assert one["git"] == {"source": "main", "commit": "a" * 40, "path": "tests/a.yml"}
    assert one["source"] == SOURCE.format(id="a", namespace="team")
    assert web.client.get("/api/v1/tests/team/z").status_code == 404
