"""Puts the API together: its routes, its guards, its error answers.

Newer clients name a tenant, so what is below `/api/v1` is below `/api/v1/main` too.
"""

from __future__ import annotations

import time

from flask import Blueprint, Flask

from penstock_server.api import (
    actions,
    bulk,
    concurrency_limits,
    csv_exports,
    evaluation,
    executions,
    files,
    flow_holds,
    flow_sets,
    flows,
    follow,
    git,
    git_checks,
    git_control,
    git_flows,
    git_sources,
    git_webhooks,
    graphs,
    health,
    kv,
    logs,
    measurements,
    misc,
    namespace_files,
    namespaces,
    outputs,
    plugins,
    problems,
    runners,
    secrets,
    security,
    suites,
    templates,
    triggers,
    validation,
    webhooks,
)
from penstock_server.api.context import WebContext
from penstock_server.api.library import Library

PREFIXES = {"": "/api/v1", "main.": "/api/v1/main"}
MAX_REQUEST = 1024 * 1024 * 1024
MAX_FORM_TEXT = 16 * 1024 * 1024
MAX_PARTS = 1000


def install(app: Flask, context: WebContext) -> None:
    """Give an app all routes of the API, its guards and its error answers."""
    app.url_map.strict_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST
    app.config["MAX_FORM_MEMORY_SIZE"] = MAX_FORM_TEXT
    app.config["MAX_FORM_PARTS"] = MAX_PARTS
    metrics = health.Metrics(time.monotonic)
    metrics.install(app)
    security.install(app, context.settings)
    problems.install(app)
    app.register_blueprint(health.blueprint(context, metrics))
    followers = follow.Followers(context.followers)
    app.extensions[follow.FOLLOWERS] = followers
    for blueprint in resources(context, followers):
        for name, prefix in PREFIXES.items():
            app.register_blueprint(
                blueprint,
                name=name.replace(".", "_") + blueprint.name,
                url_prefix=prefix + (blueprint.url_prefix or ""),
            )


def resources(context: WebContext, followers: follow.Followers) -> list[Blueprint]:
    """One blueprint a resource."""
    library = Library(context.database, context.registry, context.flow_changes)
    return [
        executions.blueprint(context, library),
        actions.blueprint(context, library),
        bulk.blueprint(context),
        evaluation.blueprint(context, library),
        files.blueprint(context),
        follow.blueprint(context, followers),
        flows.blueprint(context, library),
        flow_holds.blueprint(context, library),
        flow_sets.blueprint(context, library),
        validation.blueprint(context, library),
        git.blueprint(context),
        git_control.blueprint(context),
        git_flows.blueprint(context),
        git_sources.blueprint(context),
        git_checks.blueprint(context),
        git_webhooks.blueprint(context),
        graphs.blueprint(context, library),
        *kv.blueprints(context),
        concurrency_limits.blueprint(context, library),
        csv_exports.blueprint(context),
        measurements.blueprint(context),
        misc.blueprint(context),
        outputs.blueprint(context),
        namespaces.blueprint(context, library),
        secrets.blueprint(context),
        plugins.blueprint(context),
        runners.blueprint(context),
        namespace_files.blueprint(context, library),
        suites.blueprint(context),
        templates.blueprint(context, library),
        triggers.blueprint(context, library),
        webhooks.blueprint(context, library),
        logs.blueprint(context),
    ]
