"""Puts the pages together: their routes, their templates and static files, their error answers."""

from __future__ import annotations

from flask import Blueprint, Flask

from penstock_server.api import routing
from penstock_server.api.context import WebContext
from penstock_server.api.follow import FOLLOWERS, Followers
from penstock_server.api.library import Library
from penstock_server.web import errors, pages
from penstock_server.web.action_page import Actions
from penstock_server.web.execution_page import ExecutionPages, Executions
from penstock_server.web.executions_page import ExecutionsPage
from penstock_server.web.flow_page import FlowPages
from penstock_server.web.git_forms import GitForms
from penstock_server.web.git_page import GitPages
from penstock_server.web.home_page import HomeRoutes
from penstock_server.web.live import LivePages
from penstock_server.web.log_page import LogPage
from penstock_server.web.other_pages import OtherPages
from penstock_server.web.pages import Pages
from penstock_server.web.status_page import StatusPage
from penstock_server.web.trigger_page import TriggerPages


def install(app: Flask, context: WebContext) -> None:
    """Give an app all pages."""
    frame = Pages(context, app.jinja_env)
    library = Library(context.database, context.registry)
    # Streams of the API and of pages take threads out of one pool, so they are counted together.
    followers = app.extensions.get(FOLLOWERS) or Followers(context.followers)
    routes = Blueprint(
        "pages",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/static",
    )
    pages.install(app, routes)
    errors.install(app, routes, frame)
    executions = Executions(context, library)
    home = HomeRoutes(context, frame)
    of_flows = FlowPages(context, library, frame)
    listed = ExecutionsPage(context, frame)
    handlers = {
        "home": home,
        "flows": of_flows,
        "triggers": TriggerPages(context, frame, of_flows.known, of_flows.head),
        "executions": listed,
        "execution": ExecutionPages(executions, frame),
        "logs": LogPage(context, executions, frame, followers),
        "actions": Actions(context, library, executions, frame),
        "git": GitPages(context, frame),
        "git_forms": GitForms(context, frame),
        "other": OtherPages(context, frame),
        "status": StatusPage(context, frame),
        "live": LivePages(
            context=context,
            executions=executions,
            listed=listed,
            home=home,
            frame=frame,
            followers=followers,
        ),
    }
    for name, one in handlers.items():
        routes.register_blueprint(routing.blueprint(name, "", one))
    app.register_blueprint(routes)
