"""What stands between the service and a repository, as `git doctor` shows it."""

from __future__ import annotations

from flask import Blueprint, Response

from penstock_server.api import routing
from penstock_server.api.answers import json_answer
from penstock_server.api.context import WebContext
from penstock_server.api.git_calls import known_source
from penstock_server.api.routing import post

CHECK_SECONDS = 150.0


class CheckRoutes:
    """One route a source; a POST, since it uses the network."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    @post("/sources/<source_id>/check")
    def check(self, source_id: str) -> Response:
        """Try every step from the name of the host to the folder, and say what to change."""
        with self._context.database.read() as connection:
            known_source(connection, source_id)
        found = self._context.client.call("git.check", timeout=CHECK_SECONDS, source=source_id)
        return json_answer(found)


def blueprint(context: WebContext) -> Blueprint:
    """The route that checks a source."""
    return routing.blueprint("git_checks", "/git", CheckRoutes(context))
