"""Who asks: the name that is written beside what a request changes."""

from __future__ import annotations

from flask import request

from penstock_server.api.context import WebContext

ANONYMOUS = "anonymous"


def actor(context: WebContext) -> str:
    """The user of this request, as far as it is known."""
    authorization = request.authorization
    if context.settings.basic_auth is None or authorization is None:
        return ANONYMOUS
    return (authorization.username or ANONYMOUS)[:200]
