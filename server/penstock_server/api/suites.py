"""Test suites: those that commits and deploys have brought, to be read and run elsewhere."""

from __future__ import annotations

from flask import Blueprint, Response, request

from penstock_runner.flow.yaml import load_documents
from penstock_server.api import parameters, routing
from penstock_server.api.answers import json_answer, paged
from penstock_server.api.context import WebContext
from penstock_server.api.problems import not_found
from penstock_server.api.routing import get
from penstock_server.core.shapes import Json, iso, without_nulls
from penstock_server.store import test_suites
from penstock_server.store.test_suites import TestSuite


class SuiteRoutes:
    """The routes below `/tests`."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    @get("/search")
    def search(self) -> Response:
        """Suites by name, of a namespace or of a flow, one page."""
        paging = parameters.paging(request.args)
        with self._context.database.read() as connection:
            found, total = test_suites.page(
                connection,
                namespace=request.args.get("namespace") or None,
                flow_id=request.args.get("flowId") or None,
                limit=paging.size,
                offset=(paging.page - 1) * paging.size,
            )
        return paged([suite_to_json(one) for one in found], total)

    @get("/<namespace>/<suite_id>")
    def show(self, namespace: str, suite_id: str) -> Response:
        """One suite with its text."""
        with self._context.database.read() as connection:
            found = test_suites.at(connection, [(namespace, suite_id)])
        if not found:
            raise not_found(f"there is no test suite '{namespace}.{suite_id}'")
        return json_answer({**suite_to_json(found[0]), "source": found[0].source})


def blueprint(context: WebContext) -> Blueprint:
    """The routes below `/tests`."""
    return routing.blueprint("suites", "/tests", SuiteRoutes(context))


def suite_to_json(suite: TestSuite) -> Json:
    """A suite as clients see it: what its author wrote, with where it comes from."""
    written = next((one.data for one in load_documents(suite.source) if one.data), None)
    git = {
        "source": suite.managed_by,
        "commit": suite.commit_sha,
        "path": suite.git_path,
        "run": suite.sync_run_id,
    }
    return without_nulls(
        {
            **(written if isinstance(written, dict) else {}),
            "id": suite.id,
            "namespace": suite.namespace,
            "flowId": suite.flow_id,
            "updated": iso(suite.updated_at),
            "managedBy": suite.managed_by,
            "git": without_nulls(git),
        }
    )
