"""The page of a flow's triggers, and what people do there: switch, unlock, restart, backfill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, request

from penstock_server.api.context import WebContext
from penstock_server.api.library import KnownFlow
from penstock_server.api.routing import get, post
from penstock_server.core.client import CoreRefused
from penstock_server.store import queries
from penstock_server.store.queries import Paging
from penstock_server.web import pages, triggers
from penstock_server.web.errors import Missing
from penstock_server.web.flows import FlowHead
from penstock_server.web.pages import Pages, to
from penstock_server.web.triggers import Unreadable

MOST = 1000
ACTIONS: Mapping[str, str] = {
    "unlock": "trigger.unlock",
    "restart": "trigger.restart",
    "pause": "backfill.pause",
    "resume": "backfill.unpause",
    "cancel": "backfill.delete",
}


class TriggerPages:
    """The routes below `/flows/.../triggers`."""

    def __init__(
        self,
        context: WebContext,
        frame: Pages,
        known: Callable[[str, str], KnownFlow],
        head: Callable[[KnownFlow], FlowHead],
    ) -> None:
        self._context = context
        self._pages = frame
        self._known = known
        self._head = head

    @get("/flows/<namespace>/<flow_id>/triggers")
    def triggers(self, namespace: str, flow_id: str) -> Response:
        """What starts the flow, and when."""
        return self._shown(namespace, flow_id)

    @post("/flows/<namespace>/<flow_id>/triggers/<trigger_id>")
    def switch(self, namespace: str, flow_id: str, trigger_id: str) -> Response:
        """Switch a trigger off or on."""
        name = (namespace, flow_id, trigger_id)
        self._call("trigger.set", name, disabled=request.form.get("on") != "true")
        return to(pages.flow_link(namespace, flow_id, "triggers"))

    @post("/flows/<namespace>/<flow_id>/triggers/<trigger_id>/<action>")
    def act(self, namespace: str, flow_id: str, trigger_id: str, action: str) -> Response:
        """Unlock or restart a trigger; pause, go on with or end its backfill."""
        if action not in ACTIONS:
            raise Missing(f"Nothing is called {action[:100]} here")
        self._call(ACTIONS[action], (namespace, flow_id, trigger_id))
        return to(pages.flow_link(namespace, flow_id, "triggers"))

    @post("/flows/<namespace>/<flow_id>/backfill")
    def backfill(self, namespace: str, flow_id: str) -> Response:
        """Begin a backfill; what does not fit is said beside its field."""
        name = (namespace, flow_id, request.form.get("trigger", ""))
        try:
            self._call("trigger.set", name, backfill=triggers.asked_for(request.form))
        except Unreadable as wrong:
            return self._shown(namespace, flow_id, {wrong.field: str(wrong)})
        except CoreRefused as refused:
            return self._shown(namespace, flow_id, {"start": str(refused)})
        return to(pages.flow_link(namespace, flow_id, "triggers"))

    def _shown(
        self, namespace: str, flow_id: str, wrong: Mapping[str, str] | None = None
    ) -> Response:
        known = self._known(namespace, flow_id)
        with self._context.database.read() as connection:
            states, _ = queries.triggers_page(
                connection,
                Paging(size=MOST),
                namespace=namespace,
                flow_id=flow_id,
                exact_namespace=True,
            )
        return self._pages.render(
            "triggers.html",
            status=422 if wrong else 200,
            head=self._head(known),
            tab="triggers",
            triggers=triggers.trigger_rows(known.flow, states, self._context.timezone, self._polls),
            wrong=wrong or {},
            given=request.form if wrong else {},
        )

    def _polls(self, kind: str) -> bool:
        info = self._context.registry.find(kind)
        return info is not None and info.polling

    def _call(self, operation: str, name: tuple[str, str, str], **more: Any) -> None:
        namespace, flow_id, trigger_id = name
        self._context.client.call(
            operation, namespace=namespace, flow_id=flow_id, trigger_id=trigger_id, **more
        )
