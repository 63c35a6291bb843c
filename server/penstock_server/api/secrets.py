"""The names of secrets, per namespace; values have no way out."""

from __future__ import annotations

from flask import Blueprint, Response, request

from penstock_runner.jobs.secrets import names_for
from penstock_server.api import parameters, routing
from penstock_server.api.answers import json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.routing import get


class SecretRoutes:
    """The routes below `/namespaces/<namespace>` about secrets."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    @get("/<namespace>/secrets")
    def listed(self, namespace: str) -> Response:
        """The names that flows of a namespace may ask for, one page."""
        paging = parameters.paging(request.args)
        text = request.args.get("q", "").upper()
        found = [name for name in names_for(self._context.secrets, namespace) if text in name]
        if paging.sort and paging.sort[0][1]:
            found.reverse()
        start = (paging.page - 1) * paging.size
        page = [{"key": name} for name in found[start : start + paging.size]]
        return json_answer({"readOnly": True, "results": page, "total": len(found)})

    @get("/<namespace>/inherited-secrets")
    def inherited(self, namespace: str) -> Response:
        """The same names by where they are kept; here all namespaces share them."""
        return json_answer({namespace: names_for(self._context.secrets, namespace)})


def blueprint(context: WebContext) -> Blueprint:
    """The routes below `/namespaces/<namespace>` about secrets."""
    return routing.blueprint("secrets", "/namespaces", SecretRoutes(context))
