"""What every page shares: the frame it is rendered into, its filters, where things are.

Addresses of pages are made here and nowhere else, so that a template never joins one by hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from flask import Blueprint, Flask, Response, make_response, render_template, request
from jinja2 import Environment, pass_context
from jinja2.runtime import Context

from penstock_server.api.actors import ANONYMOUS, actor
from penstock_server.api.context import WebContext
from penstock_server.sync.asked import TASK_STORES
from penstock_server.web import formats, states

STATIC = Path(__file__).parent / "static"
THEMES = frozenset({"light", "dark"})
THEME_COOKIE = "penstock_theme"
YEAR = 31_536_000


class Pages:
    """Renders pages into the frame they share."""

    def __init__(self, context: WebContext, environment: Environment) -> None:
        self._context = context
        self._environment = environment

    def render(self, template: str, /, *, status: int = 200, **values: Any) -> Response:
        """One page."""
        answer = make_response(render_template(template, **self.frame(), **values), status)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def part(self, template: str, /, **values: Any) -> str:
        """A part of a page as text; needs no request, so streams can go on when theirs is over."""
        now = self._context.clock.now()
        return self._environment.get_template(template).render(now=now, **values)

    def frame(self) -> dict[str, Any]:
        """What the frame and the filters need."""
        settings = self._context.settings
        theme = request.cookies.get(THEME_COOKIE, "")
        who = actor(self._context)
        return {
            "now": self._context.clock.now(),
            "theme": theme if theme in THEMES else "",
            "version": settings.version,
            "environment": settings.environment,
            "user": None if who == ANONYMOUS else who,
            "core_connected": self._context.client.connected,
        }


def install(app: Flask, routes: Blueprint) -> None:
    """Give the templates their filters and functions, and static files their headers."""
    environment = app.jinja_env
    environment.trim_blocks = True
    environment.lstrip_blocks = True
    for name in (
        "duration",
        "rough",
        "clock",
        "stamp",
        "machine",
        "count",
        "percent",
        "size",
        "sentence",
        "words",
    ):
        environment.filters[name] = getattr(formats, name)
    environment.filters["some"] = formats.some
    environment.filters["short_id"] = formats.short_id
    environment.filters["label"] = states.label
    environment.filters["icon"] = states.icon
    environment.filters["moment"] = _moment
    environment.filters["date"] = _date
    environment.filters["day"] = _day
    environment.globals.update(LINKS)
    digests = {path.name: _digest(path) for path in STATIC.iterdir() if path.is_file()}
    environment.globals["static"] = lambda name: f"/static/{name}?v={digests.get(name, '')}"

    @routes.after_request
    def _kept(answer: Response) -> Response:
        name = request.path.removeprefix("/static/")
        if name in digests and request.args.get("v") == digests[name]:
            answer.headers["Cache-Control"] = f"public, max-age={YEAR}, immutable"
        return answer


def execution_link(namespace: str, flow_id: str, execution_id: str, tab: str = "") -> str:
    """An execution, or one of its tabs."""
    below = f"/{tab}" if tab else ""
    return f"/executions/{_part(namespace)}/{_part(flow_id)}/{_part(execution_id)}{below}"


def flow_link(namespace: str, flow_id: str, tab: str = "") -> str:
    """A flow, or one of its tabs."""
    below = f"/{tab}" if tab else ""
    return f"/flows/{_part(namespace)}/{_part(flow_id)}{below}"


def to(link: str) -> Response:
    """The answer to a form: look there."""
    answer = Response(status=303)
    answer.headers["Location"] = link
    return answer


def execute_link(namespace: str, flow_id: str) -> str:
    """The form that starts a flow."""
    return f"/execute/{_part(namespace)}/{_part(flow_id)}"


def git_link(source_id: str | None) -> str:
    """A Git source, or all of them."""
    # What a Git task has brought has no source, and so no page of its own.
    if source_id is None or source_id.startswith(TASK_STORES):
        return "/git"
    return f"/git/{_part(source_id)}"


def run_link(run_id: str) -> str:
    """What was done with a Git source once."""
    return f"/git/runs/{_part(run_id)}"


def query_link(path: str, values: Mapping[str, object]) -> str:
    """A path with what is asked of it; what has no value is left out."""
    given = {key: value for key, value in values.items() if value not in {None, "", ()}}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def file_link(execution_id: str, uri: str) -> str:
    """Where the API gives a file of an execution."""
    return f"/api/v1/main/executions/{_part(execution_id)}/file?{urlencode({'path': uri})}"


LINKS: Mapping[str, Any] = {
    "execution_link": execution_link,
    "flow_link": flow_link,
    "execute_link": execute_link,
    "git_link": git_link,
    "run_link": run_link,
    "query_link": query_link,
    "file_link": file_link,
}


def _part(text: str) -> str:
    return quote(text, safe="")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


@pass_context
def _moment(context: Context, at: datetime) -> str:
    return formats.moment(at, context["now"])


@pass_context
def _day(context: Context, at: datetime) -> str:
    return formats.day(at, context["now"])


@pass_context
def _date(context: Context, at: datetime) -> str:
    return formats.date(at, context["now"])
