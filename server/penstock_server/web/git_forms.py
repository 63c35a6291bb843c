"""What people do on the page of a Git source: sync, plan, confirm, roll back, resume."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Response, request

from penstock_server.api.context import WebContext
from penstock_server.api.git_calls import call
from penstock_server.api.problems import Problem
from penstock_server.api.routing import post
from penstock_server.store import flows, sources
from penstock_server.web import git_changes, gits, pages
from penstock_server.web.errors import Missing
from penstock_server.web.pages import Pages, to

LASTS = {"1": timedelta(hours=1), "8": timedelta(hours=8), "24": timedelta(days=1)}


class GitForms:
    """The forms below `/git`."""

    def __init__(self, context: WebContext, frame: Pages) -> None:
        self._context = context
        self._pages = frame

    @post("/git/<source_id>/sync")
    def sync(self, source_id: str) -> Response:
        """Look at a source now and apply what is found; with a digest that plan is let through."""
        self._source(source_id)
        confirm = request.form.get("confirm") or None
        rewrite = request.form.get("rewrite") == "yes"
        waits = confirm is not None or rewrite
        more = {"confirm": confirm, "accept_rewrite": rewrite, "wait": waits}
        return self._led(source_id, call(self._context, "git.sync", source_id, **more))

    @post("/git/<source_id>/plan")
    def plan(self, source_id: str) -> Response:
        """What a sync would do now."""
        source = self._source(source_id)
        plan = call(self._context, "git.sync", source_id, aim="plan", wait=True)
        if "items" not in plan:
            raise Problem(502, str(plan.get("message") or "the repository cannot be read"))
        shown = plan["items"][: git_changes.MOST_DIFFERENCES]
        names = [(i["namespace"], i["id"], i["fromRevision"]) for i in shown if i["fromRevision"]]
        with self._context.database.read() as connection:
            old = flows.texts(connection, names)
        return self._pages.render(
            "git_plan.html",
            source=source,
            plan=plan,
            changes=git_changes.planned(plan["items"], old),
            errors=[gits.file_fault(one, source, plan["commit"]) for one in plan["errors"]],
        )

    @post("/git/<source_id>/rollback")
    def rollback(self, source_id: str) -> Response:
        """Apply another commit and stay there."""
        self._source(source_id)
        lasts = LASTS.get(request.form.get("lasts", ""))
        until = None if lasts is None else (self._context.clock.now() + lasts).isoformat()
        answer = call(
            self._context,
            "git.rollback",
            source_id,
            to=request.form.get("to", ""),
            reason=request.form.get("reason", "").strip()[:500] or None,
            until=until,
            confirm=request.form.get("confirm") or None,
        )
        return self._led(source_id, answer)

    @post("/git/<source_id>/resume")
    def resume(self, source_id: str) -> Response:
        """Follow the repository again."""
        self._source(source_id)
        return self._led(source_id, call(self._context, "git.resume", source_id))

    def _source(self, source_id: str) -> sources.GitSource:
        with self._context.database.read() as connection:
            found = sources.source(connection, source_id)
        if found is None:
            raise Missing(f"No Git source {source_id[:60]}")
        if found.origin == "deploy":
            raise Problem(409, f"{source_id} is deployed to: there is no repository to look at")
        return found

    def _led(self, source_id: str, answer: dict[str, Any]) -> Response:
        """Look at the source, or at the run when it did not do what was asked."""
        if answer.get("phase") in ("failed", "refused"):
            if not answer.get("run"):
                raise Problem(502, str(answer.get("message") or "the repository cannot be read"))
            return to(pages.run_link(answer["run"]))
        return to(pages.git_link(source_id))
