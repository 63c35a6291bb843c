"""Errors as clients of the language's API expect them: one JSON body, one reason a status.

Routes raise; the handlers here write `{"message", "_links", "_embedded": {"errors": [...]}}`. A
traceback goes to the log, never to the client.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from penstock_runner.tasks.namespace_files import ManagedByGit
from penstock_runner.tasks.storage import BadAddress, FileMissing
from penstock_server.api.answers import json_answer
from penstock_server.core.client import CoreBusy, CoreGone, CoreRefused
from penstock_server.store.faults import StoreUnavailable
from penstock_server.store.queries import UnknownSort

logger = logging.getLogger(__name__)

REASONS: Mapping[int, str] = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Illegal state",
    410: "Resource has expired",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    421: "Misdirected Request",
    422: "Illegal argument",
    423: "Locked",
    500: "Internal server error",
    503: "Service Unavailable",
}
RETRY_AFTER_SECONDS = 1


class Problem(Exception):
    """An answer that is an error; `errors` are the single faults when there are several."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        reason: str | None = None,
        errors: Iterable[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason or REASONS.get(status, "Error")
        self.detail = detail
        self.errors = tuple(dict(error) for error in errors)
        self.headers = dict(headers or {})

    @property
    def message(self) -> str:
        """The one line: the reason, and what it is about."""
        if not self.detail or self.detail.startswith(self.reason):
            return self.detail or self.reason
        return f"{self.reason}: {self.detail}"


class BulkRefused(Exception):
    """A call on many things that one of them does not allow: nothing was done."""

    def __init__(self, action: str, invalids: Iterable[Mapping[str, Any]]) -> None:
        super().__init__(f"invalid bulk {action}")
        self.invalids = tuple(dict(invalid) for invalid in invalids)


def not_found(detail: str = "") -> Problem:
    """404."""
    return Problem(HTTPStatus.NOT_FOUND, detail)


def illegal_argument(detail: str) -> Problem:
    """422 for a bad value."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def invalid_entity(detail: str, errors: Iterable[Mapping[str, Any]] = ()) -> Problem:
    """422 for something that does not validate."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, reason="Invalid entity", errors=errors)


def conflict(detail: str) -> Problem:
    """409."""
    return Problem(HTTPStatus.CONFLICT, detail)


def bad_request(detail: str) -> Problem:
    """400."""
    return Problem(HTTPStatus.BAD_REQUEST, detail)


def install(app: Flask) -> None:
    """Have every error answered in the one form."""

    @app.errorhandler(Problem)
    def _problem(problem: Problem) -> Response:
        return answer(problem)

    @app.errorhandler(BulkRefused)
    def _bulk(refused: BulkRefused) -> Response:
        body = {"message": str(refused), "invalids": list(refused.invalids)}
        return json_answer(body, HTTPStatus.BAD_REQUEST)

    @app.errorhandler(CoreRefused)
    def _refused(refused: CoreRefused) -> Response:
        reason = refused.details.get("reason")
        errors = refused.details.get("errors", ())
        return answer(Problem(refused.status, str(refused), reason=reason, errors=errors))

    @app.errorhandler(CoreBusy)
    def _busy(busy: CoreBusy) -> Response:
        return _unavailable(str(busy) or "too much is asked at once; try again", busy.retry_after)

    @app.errorhandler(CoreGone)
    def _gone(gone: CoreGone) -> Response:
        return _unavailable(str(gone), RETRY_AFTER_SECONDS)

    @app.errorhandler(StoreUnavailable)
    def _store(unavailable: StoreUnavailable) -> Response:
        logger.error("%s", unavailable)
        return _unavailable("the store does not answer; try again", RETRY_AFTER_SECONDS)

    @app.errorhandler(UnknownSort)
    def _sort(unknown: UnknownSort) -> Response:
        return answer(illegal_argument(str(unknown)))

    @app.errorhandler(BadAddress)
    def _address(bad: BadAddress) -> Response:
        managed = isinstance(bad, ManagedByGit)
        return answer(Problem(409, str(bad)) if managed else illegal_argument(str(bad)))

    @app.errorhandler(FileMissing)
    def _file(missing: FileMissing) -> Response:
        return answer(not_found(str(missing)))

    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        return _of_werkzeug(error)

    @app.errorhandler(Exception)
    def _unexpected(error: Exception) -> Response:
        logger.error("request failed: %s", request.endpoint, exc_info=error)
        return answer(
            Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "the server's log says more under this moment"
            )
        )


def answer(problem: Problem) -> Response:
    """The response that says it."""
    errors = list(problem.errors) or [{"message": problem.detail or problem.reason}]
    body = {
        "message": problem.message,
        "_links": {"self": {"href": request.path, "templated": False}},
        "_embedded": {"errors": errors},
    }
    return json_answer(body, problem.status, problem.headers)


def _unavailable(detail: str, seconds: int) -> Response:
    headers = {"Retry-After": str(seconds)}
    return answer(Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers))


def _of_werkzeug(error: HTTPException) -> Response:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    if 300 <= status < 400:
        return Response(error.get_body(), status, error.get_headers())
    kept = {k: v for k, v in error.get_headers() if k in {"Allow", "Retry-After"}}
    detail = "" if status == HTTPStatus.NOT_FOUND else (error.description or "")
    return answer(Problem(status, detail, headers=kept))
