"""Errors of pages, as pages: what happened, in the words of whoever knows, and where to go on.

The API keeps its JSON: only what is routed to a page, or is below no route and not below `/api`, is
answered with HTML.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import HTTPException, NotFound

from penstock_runner.tasks.storage import FileMissing
from penstock_server.api.problems import RETRY_AFTER_SECONDS, Problem, answer
from penstock_server.core.client import CoreBusy, CoreGone, CoreRefused
from penstock_server.store.faults import StoreUnavailable
from penstock_server.web.pages import Pages

logger = logging.getLogger(__name__)


Shown = Callable[[int, str, str], Response]


class Missing(Exception):
    """There is no such thing; the message says which."""

    def __init__(self, title: str, hint: str = "") -> None:
        super().__init__(title)
        self.title = title
        self.hint = hint


def install(app: Flask, routes: Blueprint, frame: Pages) -> None:
    """Have errors of pages answered as pages."""

    def shown(status: int, title: str, hint: str) -> Response:
        return frame.render("error.html", status=status, code=status, title=title, hint=hint)

    @app.errorhandler(NotFound)
    def _no_route(_error: NotFound) -> Response:
        if request.path.startswith("/api/"):
            return answer(Problem(HTTPStatus.NOT_FOUND))
        return shown(404, "No such page", "The address has a slip in it, or the page has moved.")

    _of_ours(routes, shown)
    _of_others(routes, shown)


def _of_ours(routes: Blueprint, shown: Shown) -> None:
    """What pages and the API's parts raise, and what core answers."""

    @routes.errorhandler(Missing)
    def _missing(missing: Missing) -> Response:
        return shown(404, missing.title, missing.hint)

    @routes.errorhandler(FileMissing)
    def _file(missing: FileMissing) -> Response:
        return shown(404, "The file is gone", str(missing))

    @routes.errorhandler(Problem)
    def _problem(problem: Problem) -> Response:
        page = shown(problem.status, problem.reason, problem.detail)
        page.headers.update(problem.headers)
        return page

    @routes.errorhandler(CoreRefused)
    def _refused(refused: CoreRefused) -> Response:
        return shown(refused.status, "This cannot be done now", str(refused))

    @routes.errorhandler(CoreBusy)
    @routes.errorhandler(CoreGone)
    def _gone(gone: CoreBusy | CoreGone) -> Response:
        page = shown(503, "The service does not answer", f"{gone}. Nothing is lost: try again.")
        page.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return page


def _of_others(routes: Blueprint, shown: Shown) -> None:
    """What comes from the store, from Flask, or from nobody knows where."""

    @routes.errorhandler(StoreUnavailable)
    def _store(unavailable: StoreUnavailable) -> Response:
        logger.error("%s", unavailable)
        return shown(503, "The store does not answer", "Pages come back by themselves with it.")

    @routes.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        if 300 <= status < 400:
            return Response(error.get_body(), status, error.get_headers())
        return shown(status, HTTPStatus(status).phrase.capitalize(), error.description or "")

    @routes.errorhandler(Exception)
    def _unexpected(error: Exception) -> Response:
        logger.error("page failed: %s", request.endpoint, exc_info=error)
        return shown(
            500, "This page could not be made", "The server's log says more under this moment."
        )
